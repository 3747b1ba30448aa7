package policy_test

import (
	"testing"

	"github.com/tidegate/tidegate/policy"
)

const topicAccess = `
service "ingest" {}
route "all" {
  forward { service = "ingest" }
}
access "meters" {
  devices = ["meter-*"]
  allow {
    publish   = ["telemetry/${device.id}/#", "t/${device.tenant}/+/x"]
    subscribe = ["commands/${device.id}/#", "news/+", "exactly/this"]
  }
}
access "operations" {
  services = ["ops", "ops-*"]
  devices  = ["meter-*"]
  allow { command = ["commands/${device.id}/#"] }
}
access "anybody" {
  services = ["*"]
  allow { command = ["news/+"] }
}
`

func TestTopicFiltersSayWhatDevicesPublishAndSubscribeTo(t *testing.T) {
	p := compiled(t, topicAccess)
	meter := device("meter-7", "tenant=acme")
	for _, c := range []struct {
		method, topic string
		want          bool
	}{
		{policy.MethodPublish, "telemetry/meter-7/power", true},
		{policy.MethodPublish, "telemetry/meter-7/power/now", true},
		{policy.MethodPublish, "telemetry/meter-7", true},
		{policy.MethodPublish, "telemetry/meter-8/power", false},
		{policy.MethodPublish, "t/acme/a b/x", true},
		{policy.MethodPublish, "t/acme/a/b/x", false},
		{policy.MethodPublish, "t/other/a/x", false},
		{policy.MethodPublish, "commands/meter-7/do", false},
		{"POST", "telemetry/meter-7/power", false},
		{policy.MethodSubscribe, "commands/meter-7/#", true},
		{policy.MethodSubscribe, "commands/meter-7/+", true},
		{policy.MethodSubscribe, "commands/meter-7/do", true},
		{policy.MethodSubscribe, "commands/meter-8/do", false},
		{policy.MethodSubscribe, "commands/+/do", false},
		{policy.MethodSubscribe, "commands/#", false},
		{policy.MethodSubscribe, "#", false},
		{policy.MethodSubscribe, "news/+", true},
		{policy.MethodSubscribe, "news/#", false},
		{policy.MethodSubscribe, "news/today", true},
		{policy.MethodSubscribe, "exactly/this", true},
		{policy.MethodSubscribe, "exactly/+", false},
		{policy.MethodSubscribe, "telemetry/meter-7/power", false},
		{policy.MethodCommand, "commands/meter-7/do", false}, // nobody's
	} {
		m := &policy.Message{Method: c.method, Path: policy.TopicPath(c.topic), Device: meter}
		if got := p.Access(m, nil); got.Allowed != c.want {
			t.Errorf("%s %s: %v, want %v", c.method, c.topic, got.Allowed, c.want)
		}
	}
	sly := device("meter-7", "tenant=+")
	if p.Access(&policy.Message{Method: policy.MethodPublish, Path: policy.TopicPath("t/+/a/x"), Device: sly}, nil).Allowed {
		t.Error("a property that is a wildcard names everybody's topics")
	}
}

func TestServicesSendDevicesWhatABlockAllows(t *testing.T) {
	p := compiled(t, topicAccess)
	for _, c := range []struct {
		service, device, topic string
		rule                   string
	}{
		{"ops", "meter-7", "commands/meter-7/do", "operations"},
		{"ops-night", "meter-7", "commands/meter-7/do", "operations"},
		{"ops", "meter-7", "commands/meter-8/do", ""},
		{"ops", "valve-7", "commands/valve-7/do", ""},
		{"billing", "meter-7", "commands/meter-7/do", ""},
		{"", "meter-7", "commands/meter-7/do", ""},
		{"", "valve-1", "news/today", "anybody"},
		{"ops", "meter-7", "telemetry/meter-7/x", ""},
	} {
		m := &policy.Message{Method: policy.MethodCommand, Path: policy.TopicPath(c.topic), Device: device(c.device), Service: c.service}
		if got := p.Access(m, nil); got.Rule != c.rule || got.Allowed != (c.rule != "") {
			t.Errorf("service %q, device %s, %s: %+v, want rule %q", c.service, c.device, c.topic, got, c.rule)
		}
		var trace policy.Trace
		if got := p.Access(m, &trace); got.Rule != c.rule || len(trace.Steps) == 0 {
			t.Errorf("explained: %+v, %d steps", got, len(trace.Steps))
		}
	}
}

func TestWhatServicesMaySendLetsNoDeviceIn(t *testing.T) {
	p := compiled(t, `
service "ingest" {}
route "all" {
  forward { service = "ingest" }
}
access "operations" {
  services = ["*"]
  audit    = true
  allow {}
}`)
	for _, method := range []string{"POST", policy.MethodPublish, policy.MethodSubscribe} {
		if v := p.Access(&policy.Message{Method: method, Path: "/x", Device: device("d")}, nil); v.Allowed {
			t.Errorf("%s: %+v", method, v)
		}
	}
	if v := p.Access(&policy.Message{Method: policy.MethodCommand, Path: "/x", Device: device("d")}, nil); !v.Allowed {
		t.Errorf("a command: %+v", v)
	}
}

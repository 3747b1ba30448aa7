package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/mqtt"
)

const publishPolicy = `
service "svc" { timeout = "1s" }
route "telemetry" {
  match { path = "/devices/{id}/telemetry" }
  class = "high"
  forward { service = "svc" }
  rewrite { path = "/in/{id}" }
}
route "hot" {
  match {
    methods       = ["PUBLISH"]
    path          = "/devices/{id}/telemetry"
    when          = "payload.temp > 50 && device.tenant == 'acme'"
    payload_limit = "4KiB"
  }
  class = "critical"
  forward { service = "svc" }
  rewrite { path = "/hot/{id}" }
}
route "status" {
  match { path = "/status/{code}" }
  forward { service = "svc" }
  retry { attempts = 1 }
}
route "http" {
  match {
    methods = ["POST"]
    path    = "/only/http"
  }
  forward { service = "svc" }
}
route "static" {
  match { path = "/static" }
  respond { status = 204 }
}
access "own" {
  allow {
    methods = ["PUBLISH"]
    path    = "/devices/$${device.id}/{rest...}"
  }
  allow { path = "/status/{code}" }
  allow { path = "/static" }
  allow { path = "/only/http" }
}`

func publication(topic, payload string) *mqtt.Publication {
	return &mqtt.Publication{
		Device: policy.Device{ID: "d 1", Properties: map[string]string{"tenant": "acme"}}, Client: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711},
		Host: "edge.example", ID: "s-1", Topic: topic, Payload: []byte(payload), QoS: 1, Received: time.Unix(1_700_000_000, 0),
	}
}

func TestAPublicationReachesTheServiceAsACloudEvent(t *testing.T) {
	var got *http.Request
	var body string
	a := handling(t, strings.ReplaceAll(publishPolicy, "$$", "$"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
	}))
	pub := publication("devices/d 1/telemetry", `{"temp":20}`)
	pub.ContentType = "application/json"
	pub.Properties = []mqtt.Property{{Key: "x-kind", Value: "t"}, {Key: "ce-type", Value: "forged"}, {Key: "tidegate-class", Value: "forged"},
		{Key: "Host", Value: "forged"}, {Key: "Content-Length", Value: "1"}, {Key: "Authorization", Value: "forged"}, {Key: "bad name", Value: "x"}, {Key: "x-bad", Value: "a\nb"}}
	if v := (publisher{a}).Publish(t.Context(), pub); v.Result != mqtt.Accepted || v.Code != 0 {
		t.Fatalf("%+v", v)
	}
	if got.Method != "POST" || got.URL.EscapedPath() != "/in/d%201" || got.Host != "edge.example" || body != `{"temp":20}` {
		t.Errorf("%s %s to %s: %s", got.Method, got.URL.EscapedPath(), got.Host, body)
	}
	for name, want := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "s-1", "Ce-Source": "/devices/d%201", "Ce-Type": "io.tidegate.publish", "Ce-Subject": "devices/d%201/telemetry",
		"Ce-Time": "2023-11-14T22:13:20Z", "Content-Type": "application/json", "Idempotency-Key": `"s-1"`, "X-Kind": "t", "Tidegate-Class": "high",
		"Tidegate-Device": "d 1", "Authorization": "", "X-Bad": "", "Forwarded": `for="192.0.2.1:4711";proto=http;host="edge.example"`,
	} {
		if v := strings.Join(got.Header[name], ","); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	hot := publication("devices/d 1/telemetry", `{"temp":70}`)
	hot.QoS = 0
	(publisher{a}).Publish(t.Context(), hot)
	if got.URL.EscapedPath() != "/hot/d%201" || got.Header.Get("Tidegate-Class") != "critical" || got.Header["Idempotency-Key"] != nil || got.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%s: %v", got.URL, got.Header)
	}
}

func TestARouteSaysWhetherMessagesPassEachOther(t *testing.T) {
	const unordered = `
service "svc" {}
route "all" {
  match { path = "/{rest...}" }
  forward { service = "svc" }
}
route "any" {
  match {
    path          = "/any"
    when          = "payload.kind == 'sample'"
    payload_limit = "1KiB"
  }
  ordered = false
  forward { service = "svc" }
}`
	a := handling(t, unordered, http.NotFoundHandler())
	for _, c := range []struct {
		topic, payload string
		ordered        bool
	}{{"other", `{"kind":"sample"}`, true}, {"any", `{"kind":"sample"}`, false}, {"any", `{"kind":"alarm"}`, true}, {"any", strings.Repeat("x", 2000), true}} {
		if got := (publisher{a}).Ordered(publication(c.topic, c.payload)); got != c.ordered {
			t.Errorf("%s %.20s: %t", c.topic, c.payload, got)
		}
	}
}

func TestWhatAPublisherIsTold(t *testing.T) {
	a := handling(t, strings.ReplaceAll(publishPolicy, "$$", "$"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else net/http does not notice that the client leaves
		switch code := strings.TrimPrefix(r.URL.Path, "/status/"); code {
		case "hang":
			<-r.Context().Done()
		case "429":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		default:
			w.WriteHeader(map[string]int{"201": 201, "303": 303, "400": 400, "403": 403, "404": 404, "422": 422, "500": 500, "503": 503}[code])
		}
	}))
	for topic, want := range map[string]mqtt.Verdict{
		"status/201":           {Result: mqtt.Accepted},
		"static":               {Result: mqtt.Accepted},
		"status/303":           {Result: mqtt.Refused, Code: 0x83, Reason: "the service answered 303"},
		"status/400":           {Result: mqtt.Refused, Code: 0x99, Reason: "the service answered 400"},
		"status/403":           {Result: mqtt.Refused, Code: 0x87, Reason: "the service answered 403"},
		"status/404":           {Result: mqtt.Refused, Code: 0x83, Reason: "the service answered 404"},
		"status/422":           {Result: mqtt.Refused, Code: 0x99, Reason: "the service answered 422"},
		"status/429":           {Result: mqtt.Busy, Code: 0x97, Reason: "the service answered 429", Retry: 7 * time.Second},
		"status/500":           {Result: mqtt.Failed, Code: 0x80, Reason: "the service answered 500"},
		"status/503":           {Result: mqtt.Busy, Code: 0x97, Reason: "the service answered 503"},
		"status/hang":          {Result: mqtt.Failed, Code: 0x80, Reason: reasonTimeout},
		"devices/d2/telemetry": {Result: mqtt.Refused, Code: 0x87, Reason: reasonAccess},
		"devices/d 1/unknown":  {Result: mqtt.Refused, Code: 0x90, Reason: reasonNoRoute},
		"only/http":            {Result: mqtt.Refused, Code: 0x90, Reason: reasonNoRoute},
		"devices/d 1/../x":     {Result: mqtt.Refused, Code: 0x87, Reason: reasonAccess},
		"/static":              {Result: mqtt.Refused, Code: 0x87, Reason: reasonAccess},
		"status/a\x01b":        {Result: mqtt.Refused, Code: 0x87, Reason: reasonAccess},
	} {
		v := (publisher{a}).Publish(t.Context(), publication(topic, "x"))
		if v.Result == mqtt.Busy && want.Retry == 0 {
			v.Retry = 0
		}
		if v != want {
			t.Errorf("%s: %+v, want %+v", topic, v, want)
		}
	}
	unknown := publication("static", "x")
	unknown.Device = policy.Device{}
	if v := (publisher{a}).Publish(t.Context(), unknown); v.Result != mqtt.Refused || v.Code != 0x87 {
		t.Errorf("an unknown device: %+v", v)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if v := (publisher{a}).Publish(gone, publication("status/hang", "x")); v.Result != mqtt.Failed {
		t.Errorf("while the agent ends: %+v", v)
	}
}

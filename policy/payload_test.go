package policy_test

import (
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

func TestPayloadIsReadOnlyForRoutesThatMayStillTakeTheMessage(t *testing.T) {
	p := policyOf(t, "testdata/payload.hcl")
	post := func(path string) *policy.Message { return &policy.Message{Method: "POST", Path: path} }
	alarm := post("/both")
	alarm.Header = map[string][]string{"X-Kind": {"alarm"}}
	for _, c := range []struct {
		what string
		m    *policy.Message
		want int
	}{
		{"another path", post("/none"), 0},
		{"another method", &policy.Message{Method: "GET", Path: "/both"}, 0},
		{"one candidate", post("/both"), 1 << 10},
		{"the larger of two", alarm, 4 << 10},
		{"behind a route that takes all", post("/behind"), 0},
		{"behind a route that takes some", post("/some"), 2 << 10},
		{"a path that never matches", post("/both/.."), 0},
	} {
		same(t, c.what, p.PayloadLimit(c.m), c.want)
	}
}

func TestConditionSeesNoPayloadItDidNotAskFor(t *testing.T) {
	p := policyOf(t, "testdata/payload.hcl")
	m := &policy.Message{Method: "POST", Path: "/both", Payload: []byte(`{"x":1,"pad":"` + strings.Repeat("y", 2000) + `"}`)}
	m.Header = map[string][]string{"X-Kind": {"alarm"}}
	same(t, "within the larger limit", routeName(p.Decide(m, 0, nil)), "large")
	m.Header = nil
	same(t, "over the smaller limit", routeName(p.Decide(m, 0, nil)), "")
}

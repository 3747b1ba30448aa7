package agent

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestDevicesOfADeadRegionAreExpectedAtTheEdgesAndSpillOverTheMesh(t *testing.T) {
	v := &policy.View{
		Regions: map[string]*policy.Region{"dead": {State: policy.RegionDown}, "full": {State: policy.RegionAlive}},
		Shares: map[string]*policy.Shares{"s": {Expected: []policy.Inbound{
			{From: "dead", Rates: [4]float64{40, 0, 0, 20}}, {From: "full", Rates: [4]float64{10, 0, 0, 0}}}}},
	}
	got := expectation(v, "s", 2)
	want := policy.Expectation{Moving: [4]float64{20, 0, 0, 10}, Rates: [4]float64{5, 0, 0, 0}, Cause: "dead"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := expectation(v, "other", 2); got != (policy.Expectation{}) {
		t.Errorf("of a service without shares: %+v", got)
	}
}

func TestHardLimitIsSharedByTheAgentsOfARegion(t *testing.T) {
	s := &policy.Service{InFlight: 4}
	for _, c := range []struct{ ready, agents, want int }{{2, 2, 4}, {3, 2, 6}, {1, 3, 2}, {2, 0, 8}, {0, 2, 0}} {
		if got := hardLimit(s, c.ready, c.agents); got != c.want {
			t.Errorf("%d instances, %d agents: %d, want %d", c.ready, c.agents, got, c.want)
		}
	}
	if got := hardLimit(nil, 2, 2); got != 0 {
		t.Errorf("no such service: %d", got)
	}
}

func TestOneBoundedRetryAfterIsPassedOn(t *testing.T) {
	h := http.Header{"Retry-After": {"7", "31536000"}}
	boundRetryAfter(h, time.Now())
	if got := h["Retry-After"]; len(got) != 1 || got[0] != "7" {
		t.Errorf("%q", got)
	}
}

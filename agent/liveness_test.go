package agent

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

func TestRegionThatLeftTheMeshIsNotHeldDown(t *testing.T) {
	now := time.Now()
	a := &Agent{liveness: policy.NewLiveness(policy.DefaultLivenessConfig()), known: map[string]bool{}}
	both := &gossip.State{Regions: map[string]gossip.RegionInfo{"eu-2": {}, "eu-3": {}}}
	a.watch(both, map[string][]string{"eu-2": {"g"}, "eu-3": {"g"}}, now)
	for _, region := range []string{"eu-2", "eu-3"} {
		a.liveness.Heard(region, "g", now)
	}
	for range 60 {
		now = now.Add(50 * time.Millisecond)
		a.liveness.Tick(now, nil)
	}
	if got := a.liveness.Down(); len(got) != 2 {
		t.Fatalf("down: %v, want both silent regions", got)
	}
	a.watch(both, nil, now)
	if got := a.liveness.Down(); len(got) != 2 {
		t.Errorf("down: %v: not being probed is no sign of life", got)
	}
	a.watch(&gossip.State{Regions: map[string]gossip.RegionInfo{"eu-2": {}}}, nil, now)
	if got := a.liveness.Down(); len(got) != 1 || got[0] != "eu-2" {
		t.Errorf("down: %v, want eu-2 alone: eu-3 left for good", got)
	}
}

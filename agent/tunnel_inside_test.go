package agent

import (
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestLostTunnelIsNoRetryEvenBeforeTheVerdictOnItsRegion(t *testing.T) {
	a := &Agent{}
	lost, unsent := fmt.Errorf("x: %w", transport.ErrTunnelLost), fmt.Errorf("x: %w", transport.ErrNotSent)
	cases := []struct {
		name             string
		state            policy.RegionState
		legs             int
		err              error
		rerouted, leaves bool
	}{
		{"lost, and there is another region", policy.RegionAlive, 2, lost, true, true},
		{"lost, and there is no other", policy.RegionAlive, 1, lost, true, false},
		{"lost, the region is down", policy.RegionDown, 1, lost, true, true},
		{"not sent, the region lives", policy.RegionAlive, 2, unsent, false, false},
	}
	for _, c := range cases {
		j := journey{exchange: &exchange{agent: a}, order: policy.Plan{Legs: make([]policy.Leg, c.legs)}.Order(0)}
		a.view.Store(&policy.View{Regions: map[string]*policy.Region{"r": {State: c.state}}})
		f := j.tunnelFailure("r", c.err)
		if f.rerouted != c.rerouted || f.leaves != c.leaves {
			t.Errorf("%s: rerouted %v, leaves %v; want %v, %v", c.name, f.rerouted, f.leaves, c.rerouted, c.leaves)
		}
	}
}

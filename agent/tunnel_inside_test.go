package agent

import (
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestLostTunnelIsNoRetryEvenBeforeTheVerdictOnItsRegion(t *testing.T) {
	a := &Agent{}
	j := journey{exchange: &exchange{agent: a}}
	cases := []struct {
		name             string
		state            policy.RegionState
		err              error
		rerouted, leaves bool
	}{
		{"lost, the region lives", policy.RegionAlive, fmt.Errorf("x: %w", transport.ErrTunnelLost), true, false},
		{"lost, the region is down", policy.RegionDown, fmt.Errorf("x: %w", transport.ErrTunnelLost), true, true},
		{"not sent, the region lives", policy.RegionAlive, fmt.Errorf("x: %w", transport.ErrNotSent), false, false},
	}
	for _, c := range cases {
		a.view.Store(&policy.View{Regions: map[string]*policy.Region{"r": {State: c.state}}})
		f := j.tunnelFailure("r", c.err)
		if f.rerouted != c.rerouted || f.leaves != c.leaves {
			t.Errorf("%s: rerouted %v, leaves %v; want %v, %v", c.name, f.rerouted, f.leaves, c.rerouted, c.leaves)
		}
	}
}

package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

const (
	moveEvery = 50 * time.Millisecond
	// A drain for good moves devices in half of the time it has, but not more
	// slowly than this: a few are no storm.
	moveLeastRate = 200.0 // a second
)

// mover has devices leave for other agents, so many a second.
type mover struct {
	agent *Agent

	mu   sync.Mutex // guards what follows
	stop func()     // nil: nobody has to leave
}

// set has devices leave at a rate from now on; 0: they may stay. What was under
// way is over when it returns.
func (m *mover) set(perSecond float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
	if perSecond <= 0 || m.agent.life.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(m.agent.life)
	over := make(chan struct{})
	go func() {
		defer close(over)
		m.run(ctx, perSecond)
	}()
	m.stop = func() { cancel(); <-over }
}

// run goes on when all have left: others may come as long as they find the way.
func (m *mover) run(ctx context.Context, perSecond float64) {
	tick := time.NewTicker(moveEvery)
	defer tick.Stop()
	for due := 0.0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due += perSecond * moveEvery.Seconds()
		due -= float64(m.agent.moveDevices(int(due)))
		due = min(due, max(1, perSecond)) // nobody was left to move
	}
}

// moveDevices has up to n devices leave, and returns how many do.
func (a *Agent) moveDevices(n int) (moved int) {
	moved = a.mqtt.Move(n)
	left := a.events.Move(n-moved, a.elsewhere)
	for device, commands := range left {
		if len(commands) > 0 {
			a.devices.handOver(device, commands)
		}
	}
	moved += len(left)
	return moved + a.edge.Move(n-moved)
}

// elsewhere is the edge of an agent that devices may go to: a fellow that stays,
// else one of the nearest region that lives; "" where there is none.
func (a *Agent) elsewhere() string {
	state := a.gossip.State()
	edges := fellowEdges(state, a.cfg.Name)
	if len(edges) == 0 {
		edges = nearestEdges(state, a.view.Load())
	}
	if len(edges) == 0 {
		return ""
	}
	return edges[rand.IntN(len(edges))]
}

func fellowEdges(state *gossip.State, self string) (edges []string) {
	for _, m := range state.Members {
		if m.Name != self && !m.Draining && m.EdgeAddr != "" {
			edges = append(edges, m.EdgeAddr)
		}
	}
	return edges
}

// nearestEdges are those of the nearest living region that has some.
func nearestEdges(state *gossip.State, v *policy.View) (edges []string) {
	var nearest time.Duration
	for name, region := range v.Regions {
		vector := state.Regions[name].Vector
		if region.State != policy.RegionAlive || vector == nil || edges != nil && region.RTT >= nearest {
			continue
		}
		var theirs []string
		for _, agent := range vector.Agents {
			if !agent.Draining && agent.EdgeAddr != "" {
				theirs = append(theirs, agent.EdgeAddr)
			}
		}
		if theirs != nil {
			edges, nearest = theirs, region.RTT
		}
	}
	return edges
}

// moveAll moves every device, spread over half of the time that ctx leaves.
func (a *Agent) moveAll(ctx context.Context) {
	rate := moveLeastRate
	if deadline, ok := ctx.Deadline(); ok {
		rate = max(rate, float64(a.edge.Connections())/max(1, time.Until(deadline).Seconds()/2))
	}
	a.mover.set(rate)
	defer a.mover.set(0)
	tick := time.NewTicker(moveEvery)
	defer tick.Stop()
	for a.mqtt.Staying()+a.edge.Staying() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/presence"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// findTimeout bounds one question after a device.
const findTimeout = time.Second

// found is where a device is, the best place first.
type found struct {
	Places []devicePlace `json:"places,omitempty"`
	// Missing are regions, and agents of this one, that gave no answer: what is not
	// found may be there.
	Missing []string `json:"missing,omitempty"`
}

// devicePlace is a session of a device, at an agent of a region.
type devicePlace struct {
	Region string `json:"region"`
	presence.Place
}

func (f *found) add(region string, places []presence.Place) {
	for _, p := range places {
		f.Places = append(f.Places, devicePlace{region, p})
	}
}

// connected says that somebody has the device on a connection.
func (f *found) connected() bool { return len(f.Places) > 0 && f.Places[0].Connected }

func (f *found) sort() {
	slices.SortStableFunc(f.Places, func(a, b devicePlace) int { return presence.Better(a.Place, b.Place) })
}

// How far a question after a device goes.
const (
	scopeOwn    = "own"    // what the agent itself has
	scopeHome   = "home"   // what it knows as the device's home, too
	scopeRegion = "region" // all of its region
)

type findRequest struct {
	Device string `json:"device"`
	Scope  string `json:"scope"`
}

// find looks for a device, in this region first, and elsewhere unless it is
// connected here.
func (d *devices) find(ctx context.Context, device string) found {
	f := d.findHere(ctx, device)
	if !f.connected() {
		d.findElsewhere(ctx, device, &f)
	}
	return f
}

// findAll looks everywhere, whatever this region knows.
func (d *devices) findAll(ctx context.Context, device string) found {
	f := d.findHere(ctx, device)
	d.findElsewhere(ctx, device, &f)
	return f
}

func (d *devices) findElsewhere(ctx context.Context, device string, f *found) {
	v := d.agent.view.Load()
	questions := map[string]*transport.Tunnel{}
	for name, region := range v.Regions {
		questions[name] = nil // it may have the device, and cannot be asked
		if region.State != policy.RegionDown {
			questions[name] = d.agent.pickTunnel(name, "")
		}
	}
	for region, answer := range d.askAll(ctx, questions, findRequest{device, scopeRegion}) {
		if answer == nil {
			f.Missing = append(f.Missing, region)
			continue
		}
		f.Places = append(f.Places, answer.Places...)
		f.Missing = append(f.Missing, answer.Missing...)
	}
	f.sort()
}

// findHere looks for a device in this region: here, at its home, and where the
// home does not know it, or gives no answer, everywhere.
func (d *devices) findHere(ctx context.Context, device string) (f found) {
	homes, all := d.candidates()
	home := policy.DeviceHome(device, homes)
	f.add(d.agent.cfg.Region, d.askHome(ctx, home, device))
	if len(f.Places) > 0 {
		return f
	}
	questions := map[string]*transport.Tunnel{}
	for _, agent := range all {
		if agent != d.agent.cfg.Name {
			questions[agent] = d.agent.fellow(agent)
		}
	}
	f.add(d.agent.cfg.Region, d.own(device, time.Now()))
	for agent, answer := range d.askAll(ctx, questions, findRequest{device, scopeOwn}) {
		if answer == nil {
			f.Missing = append(f.Missing, agent)
			continue
		}
		f.Places = append(f.Places, answer.Places...)
	}
	f.sort()
	return f
}

func (d *devices) askHome(ctx context.Context, home, device string) []presence.Place {
	if home == d.agent.cfg.Name {
		return d.book.Find(device, time.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	var answer found
	if d.agent.ask(ctx, d.agent.fellow(home), controlFind, findRequest{device, scopeHome}, &answer) != nil {
		return nil
	}
	places := make([]presence.Place, len(answer.Places))
	for i, p := range answer.Places {
		places[i] = p.Place
	}
	return places
}

// askAll asks through many tunnels at once; nil of whoever gives no answer.
func (d *devices) askAll(ctx context.Context, questions map[string]*transport.Tunnel, ask findRequest) map[string]*found {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	answers := make(map[string]*found, len(questions))
	for name, tunnel := range questions {
		all.Go(func() {
			answer := &found{}
			if d.agent.ask(ctx, tunnel, controlFind, ask, answer) != nil {
				answer = nil
			}
			mu.Lock()
			defer mu.Unlock()
			answers[name] = answer
		})
	}
	all.Wait()
	return answers
}

// answerFind is the other side of a question after a device.
func (d *devices) answerFind(ctx context.Context, ask findRequest) (f found) {
	now := time.Now()
	switch ask.Scope {
	case scopeRegion:
		return d.findHere(ctx, ask.Device)
	case scopeHome:
		f.add(d.agent.cfg.Region, d.book.Find(ask.Device, now))
	default:
		f.add(d.agent.cfg.Region, d.own(ask.Device, now))
	}
	return f
}

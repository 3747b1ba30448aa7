//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate/tidegate/test/overload/judge"
	"github.com/tidegate/tidegate/transport/device"
)

const fleetSize = 60

// fleet is devices that speak through the SDK, by what they tell. It is there for
// one drill.
type fleet struct {
	*player
	agents map[string]*agent // by edge

	mu      sync.Mutex // guards what follows
	reports []report
	log     *os.File // what they tell is among the logs, too
}

// startFleet has the devices connect to agents of some regions, and publish.
func (x *exercise) startFleet(regions []string) error {
	if err := x.issueFleet(x.ctx); err != nil {
		return err
	}
	log, err := os.OpenFile(x.log("fleet-"+x.drill.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f := &fleet{agents: map[string]*agent{}, log: log}
	o := orders{CA: x.caFile(), Dir: x.deviceDir(), First: deviceCount, Devices: fleetSize, Pause: time.Second}
	for _, a := range x.agents() {
		f.agents[a.edge()] = a
		if slices.Contains(regions, a.region.name) {
			o.Endpoints = append(o.Endpoints, device.Endpoint{Addr: a.edge(), Region: a.region.name})
		}
	}
	if f.player, err = play(x.mesh, roleFleet, o, f.take); err != nil {
		_ = log.Close()
		return err
	}
	x.fleet = f
	return await(x.ctx, 20*time.Second, func() error {
		if n := f.connected(); n < fleetSize {
			return fmt.Errorf("%d of %d SDK devices are connected", n, fleetSize)
		}
		return nil
	})
}

func (f *fleet) stop() {
	f.player.stop()
	_ = f.log.Close() // again after a drill that came to its end
}

// issueFleet makes the certificates of the fleet, once.
func (m *mesh) issueFleet(ctx context.Context) error {
	if m.fleetIssued {
		return nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(4)
	for n := deviceCount; n < deviceCount+fleetSize; n++ {
		all.Go(func() error { return m.issueDevice(ctx, n) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	m.fleetIssued = true
	return nil
}

func (f *fleet) take(r report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, r)
	_ = json.NewEncoder(f.log).Encode(r)
}

// told is a copy of what was told so far.
func (f *fleet) told() []report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reports)
}

func (f *fleet) connected() int {
	n := 0
	for _, states := range f.states() {
		if states[len(states)-1].Phase == device.Connected {
			n++
		}
	}
	return n
}

// comeback is how a device that lost its agent got another one, or the same again.
type comeback struct {
	at  time.Time // zero: it did not
	why string    // it left
}

// comebacks of the devices that at a moment were at some agents, until another.
func (f *fleet) comebacks(from, until time.Time, lost func(*agent) bool) (all []comeback) {
	for _, states := range f.states() {
		i := 0
		for i < len(states) && states[i].At.Before(from) {
			i++
		}
		if i > 0 && states[i-1].Phase == device.Connected && lost(f.agents[states[i-1].Addr]) {
			all = append(all, comebackOf(states[i-1].Addr, states[i:], until))
		}
	}
	return all
}

// states of the connections of each device, in their order.
func (f *fleet) states() map[string][]report {
	all := map[string][]report{}
	for _, r := range f.told() {
		if r.Phase != "" {
			all[r.Device] = append(all[r.Device], r)
		}
	}
	return all
}

func comebackOf(was string, states []report, until time.Time) (c comeback) {
	gone := false
	for _, r := range states {
		if c.why == "" {
			c.why = r.Err
		}
		if r.Phase == device.Connected && (gone || r.Addr != was) && r.At.Before(until) {
			c.at = r.At
			return c
		}
		gone = gone || r.Phase != device.Connected
	}
	return c
}

// in is the sign of the agents of a region.
func in(region string) func(*agent) bool {
	return func(a *agent) bool { return a.region.name == region }
}

const backWithin = 3 * time.Second

// fleetBack judges how soon the devices that were at some agents when those were
// lost were connected again.
func (x *exercise) fleetBack(what string, lost, until time.Time, at func(*agent) bool) {
	x.back(what, lost, lost, until, backWithin, at)
}

// back is fleetBack from a later moment on, and with another bound.
func (x *exercise) back(what string, lost, from, until time.Time, within time.Duration, at func(*agent) bool) {
	var took []time.Duration
	away := 0
	for _, c := range x.fleet.comebacks(lost, until, at) {
		if c.at.IsZero() {
			away++
			c.at = until
		}
		took = append(took, max(0, c.at.Sub(from)))
	}
	b := judge.AtMost(fmt.Sprintf("SDK devices of %s back, p99 of %d", what, len(took)), judge.Quantile(took, 0.99).Seconds(), "s", within.Seconds())
	if len(took) == 0 {
		b = b.Refuse("no device was there")
	}
	x.bar(b, from, from.Add(2*within))
	if away > 0 {
		x.out.say("    %d SDK devices of %s did not come back", away, what)
	}
}

// toldToGo says that the device had another connection before it lost the old one,
// for it looks for none by itself, or knew at least that it had to.
func (c comeback) toldToGo() bool {
	return c.why == "" && !c.at.IsZero() || strings.Contains(c.why, device.ErrLeaving.Error())
}

// told judges that devices were told to leave before the agents ended that left.
func (x *exercise) told(from, until time.Time) {
	there, left := 0, 0
	var took []time.Duration
	for _, d := range x.departures {
		if d.told.Before(from) || d.told.After(until) {
			continue
		}
		for _, c := range x.fleet.comebacks(d.told, until, func(a *agent) bool { return a == d.agent }) {
			there++
			if c.toldToGo() {
				left++
			}
			if c.at.IsZero() {
				c.at = until
			}
			took = append(took, c.at.Sub(d.told))
		}
	}
	x.bar(judge.AtLeast(fmt.Sprintf("SDK devices that were told to go, of %d", there), float64(left), "devices", float64(there)), from, until)
	x.bar(judge.AtMost("SDK devices elsewhere, p99", judge.Quantile(took, 0.99).Seconds(), "s", backWithin.Seconds()), from, until)
}

package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/presence"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/events"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// holder has sessions of devices: the MQTT server, or the one of event streams.
type holder interface {
	Deliver(ctx context.Context, device string, c *transport.Command) transport.Delivery
	Device(id string) (policy.Device, bool)
	Devices() []string
	Sessions(device string) []transport.DeviceSession
	TakeOver(device, client string, before time.Time) []*transport.Command
	Kick(device string) int
}

var (
	_ holder = (*mqtt.Server)(nil)
	_ holder = (*events.Server)(nil)
)

// devices knows where devices are: those of this agent, and as their home those
// of its fellows.
type devices struct {
	agent   *Agent
	holders []holder
	book    presence.Book

	mu      sync.Mutex // guards what follows
	changed map[string]struct{}
	wake    chan struct{}

	// Used by the loop alone.
	homes   []string                     // fellows, and this agent, that may be homes
	tunnels map[string]*transport.Tunnel // to those, as of their last claims
}

func newDevices(a *Agent) *devices {
	return &devices{agent: a, changed: map[string]struct{}{}, wake: make(chan struct{}, 1), tunnels: map[string]*transport.Tunnel{}}
}

// Changed notes that sessions of a device came or went. It returns at once.
func (d *devices) Changed(device string) {
	d.mu.Lock()
	d.changed[device] = struct{}{}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// list returns the ids of the devices that have sessions here, sorted.
func (d *devices) list() (all []string) {
	for _, h := range d.holders {
		all = append(all, h.Devices()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sessions returns those of a device here, those with a connection first, then the
// newest.
func (d *devices) sessions(device string) (all []transport.DeviceSession) {
	for _, h := range d.holders {
		all = append(all, h.Sessions(device)...)
	}
	slices.SortStableFunc(all, func(a, b transport.DeviceSession) int {
		if a.Connected != b.Connected {
			if a.Connected {
				return -1
			}
			return 1
		}
		return b.Since.Compare(a.Since)
	})
	return all
}

// claims is what this agent tells the home of a device.
func (d *devices) claims(device string, now time.Time) presence.Claims {
	c := presence.Claims{Device: device}
	for _, s := range d.sessions(device) {
		c.Sessions = append(c.Sessions, presence.Claim{
			Client: s.Client, Protocol: s.Protocol, Epoch: s.Epoch, Connected: s.Connected,
			AgeMS: now.Sub(s.Since).Milliseconds(), Mark: s.Since.UnixNano(),
		})
	}
	return c
}

// own is where the sessions of a device here are.
func (d *devices) own(device string, now time.Time) (places []presence.Place) {
	for _, c := range d.claims(device, now).Sessions {
		places = append(places, presence.Place{Agent: d.agent.cfg.Name, Claim: c})
	}
	return places
}

// lose ends sessions that fellows have newer ones of, and sends on what these did
// not bring.
func (d *devices) lose(losses []presence.Loss) {
	for _, l := range losses {
		for _, h := range d.holders {
			if left := h.TakeOver(l.Device, l.Client, time.Unix(0, l.Mark)); len(left) > 0 {
				d.handOver(l.Device, left)
			}
		}
	}
}

// kick ends the sessions of a device here for an operator.
func (d *devices) kick(device string) (ended int) {
	for _, h := range d.holders {
		ended += h.Kick(device)
	}
	return ended
}

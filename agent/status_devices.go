package agent

import (
	"context"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/transport"
)

// Devices returns a page of the devices that have sessions here, by id.
func (a *Agent) Devices(after string, limit int) admin.DevicesAnswer {
	all := a.devices.list()
	ans := admin.DevicesAnswer{Agent: a.cfg.Name, Total: len(all), Home: a.devices.book.Len(), Devices: []admin.DeviceSession{}}
	first, found := slices.BinarySearch(all, after)
	if found {
		first++
	}
	page := all[first:min(first+limit, len(all))]
	for _, device := range page {
		ans.Devices = append(ans.Devices, a.devices.describe(device)...)
	}
	if first+limit < len(all) {
		ans.Next = page[len(page)-1]
	}
	return ans
}

// sessionsRequest asks an agent what sessions it has of a device, or to end them.
type sessionsRequest struct {
	Device string `json:"device"`
	Agent  string `json:"agent"`
	Kick   bool   `json:"kick"`
}

// Device looks for a device in all regions, and with kick ends what it has.
func (a *Agent) Device(ctx context.Context, id string, kick bool) admin.DeviceAnswer {
	ans := admin.DeviceAnswer{Device: id, Sessions: []admin.DeviceSession{}}
	f := a.devices.findAll(ctx, id)
	ans.Missing = f.Missing
	asked := map[string]bool{}
	for _, place := range f.Places {
		if asked[place.Agent] {
			continue
		}
		asked[place.Agent] = true
		sessions, err := a.devices.sessionsAt(ctx, place, sessionsRequest{id, place.Agent, kick})
		if err != nil {
			ans.Missing = append(ans.Missing, place.Agent)
			continue
		}
		ans.Sessions = append(ans.Sessions, sessions...)
	}
	return ans
}

func (d *devices) sessionsAt(ctx context.Context, p devicePlace, req sessionsRequest) ([]admin.DeviceSession, error) {
	if p.Region == d.agent.cfg.Region {
		return d.sessionsHere(ctx, req)
	}
	return d.askSessions(ctx, d.agent.pickTunnel(p.Region, ""), req)
}

// sessionsHere asks an agent of this region.
func (d *devices) sessionsHere(ctx context.Context, req sessionsRequest) ([]admin.DeviceSession, error) {
	if req.Agent != d.agent.cfg.Name {
		return d.askSessions(ctx, d.agent.fellow(req.Agent), req)
	}
	all := d.describe(req.Device)
	if req.Kick {
		d.agent.log.Info("device kicked", "device", req.Device, "sessions", d.kick(req.Device), "connections", d.agent.edge.Kick(req.Device))
	}
	return all, nil
}

func (d *devices) askSessions(ctx context.Context, t *transport.Tunnel, req sessionsRequest) (all []admin.DeviceSession, err error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	err = d.agent.ask(ctx, t, controlSessions, req, &all)
	return all, err
}

// describe tells what this agent has of a device.
func (d *devices) describe(device string) (all []admin.DeviceSession) {
	now := time.Now()
	for _, s := range d.sessions(device) {
		known, _ := d.holder(s.Protocol).Device(device)
		one := admin.DeviceSession{
			Device: device, Properties: known.Properties, Agent: d.agent.cfg.Name, Region: d.agent.cfg.Region,
			Protocol: s.Protocol, Client: s.Client, Epoch: s.Epoch, Connected: s.Connected,
			AgeSeconds: now.Sub(s.Since).Seconds(), Remote: s.Remote, Filters: s.Filters, Waiting: s.Waiting,
		}
		if !s.Left.IsZero() {
			one.AwaySeconds = now.Sub(s.Left).Seconds()
		}
		all = append(all, one)
	}
	return all
}

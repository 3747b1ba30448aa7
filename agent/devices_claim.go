package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/presence"
	"github.com/tidegate/tidegate/policy"
)

const (
	claimGap     = 20 * time.Millisecond // changes that come sooner are told together
	claimEvery   = time.Second           // what could not be told is tried again, and homes are looked at
	claimsMost   = 100                   // devices in one request: fits in controlMost, whatever their clients are called
	claimTimeout = 2 * time.Second
)

// run tells homes what changed, and follows them when they do, until ctx ends.
func (d *devices) run(ctx context.Context) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	gap := time.NewTimer(claimGap)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.followHomes()
		case <-d.wake:
		}
		d.tell(ctx)
		gap.Reset(claimGap)
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
	}
}

// candidates are the agents of this region that may be homes: live ones that stay.
func (d *devices) candidates() (homes, all []string) {
	for _, m := range d.agent.gossip.State().Members {
		all = append(all, m.Name)
		if !m.Draining {
			homes = append(homes, m.Name)
		}
	}
	if len(homes) == 0 {
		homes = all
	}
	return homes, all
}

// followHomes claims anew what has another home now, or one that began anew.
func (d *devices) followHomes() {
	homes, all := d.candidates()
	d.book.Keep(all)
	anew := map[string]bool{}
	for _, home := range homes {
		if t := d.agent.fellow(home); t != nil && t != d.tunnels[home] {
			d.tunnels[home], anew[home] = t, true
		}
	}
	if slices.Equal(homes, d.homes) && len(anew) == 0 {
		return
	}
	for _, device := range d.list() {
		home := policy.DeviceHome(device, homes)
		if anew[home] || home != policy.DeviceHome(device, d.homes) {
			d.Changed(device)
		}
	}
	d.homes = homes
}

// tell claims what changed at its homes; what cannot be told stays changed.
func (d *devices) tell(ctx context.Context) {
	homes, _ := d.candidates()
	var all sync.WaitGroup
	for home, devices := range d.takeChanged(homes) {
		all.Go(func() {
			for batch := range slices.Chunk(devices, claimsMost) {
				if err := d.claim(ctx, home, batch); err != nil {
					d.agent.log.Debug("home not told where devices are; tried again", "home", home, "devices", len(batch), "error", err)
					d.putBack(batch)
				}
			}
		})
	}
	all.Wait()
}

func (d *devices) takeChanged(homes []string) map[string][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	byHome := map[string][]string{}
	for device := range d.changed {
		home := policy.DeviceHome(device, homes)
		byHome[home] = append(byHome[home], device)
	}
	clear(d.changed)
	return byHome
}

// putBack leaves the next try to the loop's own time.
func (d *devices) putBack(batch []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, device := range batch {
		d.changed[device] = struct{}{}
	}
}

func (d *devices) claim(ctx context.Context, home string, batch []string) error {
	now := time.Now()
	all := make([]presence.Claims, len(batch))
	for i, device := range batch {
		all[i] = d.claims(device, now)
	}
	if home == d.agent.cfg.Name || home == "" {
		d.lose(d.enter(home, all))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	var lost []presence.Loss
	if err := d.agent.ask(ctx, d.agent.fellow(home), controlClaim, all, &lost); err != nil {
		return err
	}
	d.lose(lost)
	return nil
}

// enter takes what an agent claims into the book, tells other agents what they
// lost by it, and returns what this one lost.
func (d *devices) enter(agent string, all []presence.Claims) (own []presence.Loss) {
	now := time.Now()
	others := map[string][]presence.Loss{}
	for _, c := range all {
		for loser, losses := range d.book.Enter(agent, c, now) {
			others[loser] = append(others[loser], losses...)
		}
	}
	own = others[agent]
	delete(others, agent)
	for loser, losses := range others {
		d.agent.spawn(func() { d.tellLoser(loser, losses) })
	}
	return own
}

// tellLoser does what it can: an agent that cannot be reached claims its sessions
// anew when it is back, and loses them then.
func (d *devices) tellLoser(loser string, losses []presence.Loss) {
	if loser == d.agent.cfg.Name {
		d.lose(losses)
		return
	}
	ctx, cancel := context.WithTimeout(d.agent.life, claimTimeout)
	defer cancel()
	if err := d.agent.ask(ctx, d.agent.fellow(loser), controlLose, losses, nil); err != nil {
		d.agent.log.Debug("agent not told of sessions it lost", "loser", loser, "sessions", len(losses), "error", err)
	}
}

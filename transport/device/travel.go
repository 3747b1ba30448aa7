package device

import (
	"errors"
	"time"
)

// travel looks for another place when there is reason to.
func (c *Client) travel(now time.Time) {
	switch {
	case c.dialing:
	case c.link == nil || c.link.leaving:
		if !now.Before(c.dialAt) {
			c.look(now)
		}
	case !c.returnAt.IsZero() && !now.Before(c.returnAt):
		c.returnAt = now.Add(around(c.cfg.Return))
		if p := c.places.nearer(c.link.place, now); p != nil {
			c.dial(itinerary(places{p}, 1, c.cfg.Stagger, c.ways(now)), 0)
		}
	}
}

// look tries the places, best first.
func (c *Client) look(now time.Time) {
	ranked := c.places.ranked(now)
	together, grace := 1, time.Duration(0)
	if !c.probed {
		together, grace = c.cfg.Probe, graceLeast
	}
	if len(c.first) > 0 {
		ranked, together, grace = append(c.first, without(ranked, c.first)...), 1, 0
		c.first = nil
	}
	if c.link != nil {
		ranked = without(ranked, places{c.link.place})
	}
	c.dial(itinerary(ranked, together, stagger(c.cfg.Stagger, ranked), c.ways(now)), grace)
}

// staggerMost bounds how long a far place is given before the next one is tried.
const staggerMost = time.Second

// stagger gives the first place the time of its handshake, which is two round
// trips, twice: over long ways, or on slow devices, there would else always be
// two handshakes.
func stagger(least time.Duration, ranked places) time.Duration {
	if len(ranked) == 0 {
		return least
	}
	return max(least, min(4*ranked[0].rtt, staggerMost))
}

// ways leaves QUIC out where only TCP got through lately, unless that failed as
// well.
func (c *Client) ways(now time.Time) ways {
	w := ways{udp: !c.cfg.NoUDP && (c.cfg.NoTCP || c.rounds > 0 || !now.Before(c.noUDP)), tcp: !c.cfg.NoTCP, patience: tcpPatience}
	if c.sawUDP {
		w.patience = tcpPatienceForUDP
	}
	return w
}

func (c *Client) dial(list []attempt, grace time.Duration) {
	c.dialing = true
	epoch, err := c.keeper.epoch(time.Now())
	if err != nil {
		c.cfg.Logger.Error("the number of this connection is not kept", "error", err)
		epoch = uint64(time.Now().UnixMilli())
	}
	v := voyage{client: c, list: list, grace: grace, epoch: epoch}
	c.working.Go(func() {
		l := v.run(c.life)
		c.do(func() { c.arrived(l, v.tried) })
	})
}

// arrived takes in how the attempts went; l is the link that came of them, or
// nil.
func (c *Client) arrived(l *link, tried []try) {
	now := time.Now()
	c.dialing = false
	c.learn(tried, now)
	switch {
	case l == nil && c.link == nil:
		c.strand(tried, now)
	case l == nil && c.link.leaving:
		c.pause(now, 0)
	case l == nil: // there was no need
	case c.link != nil && !c.link.leaving && !worthMoving(l.rtt, c.link.rtt):
		c.working.Go(func() { l.close(true) })
	default:
		c.settleOn(l, now)
	}
}

func (c *Client) settleOn(l *link, now time.Time) {
	if old := c.link; old != nil {
		old.fades = now
		c.fading = append(c.fading, old)
	}
	l.since, l.flying = now, map[*entry]time.Time{}
	l.vigil = newVigil(patience(c.cfg.Silence, c.alarms), shorter(c.cfg.KeepAlive, l.keepAlive), now)
	c.link, c.probed, c.dialAt = l, true, time.Time{}
	if c.cfg.Return > 0 {
		c.returnAt = now.Add(around(c.cfg.Return))
	}
	c.cfg.Logger.Info("connected", "endpoint", l.place.Addr, "region", l.place.Region, "wire", l.wire, "rtt", l.rtt)
	c.show(State{Phase: Connected, Endpoint: l.place.Endpoint, Wire: string(l.wire), RTT: l.rtt})
	l.begin()
}

// strand is a round through all places that led nowhere.
func (c *Client) strand(tried []try, now time.Time) {
	var errs []error
	for _, t := range tried {
		if t.err != nil && !ended(t.err) {
			errs = append(errs, t.err)
		}
	}
	err := errors.Join(errs...)
	c.cfg.Logger.Warn("no endpoint serves", "error", err)
	c.pause(now, 0)
	c.show(State{Phase: Waiting, Err: err})
}

// pause puts the next look for a place off.
func (c *Client) pause(now time.Time, least time.Duration) {
	c.dialAt = later(c.dialAt, now.Add(least+fullJitter(c.rounds, c.cfg.Backoff, c.cfg.BackoffMost)))
	c.rounds++
}

// UDP that seems blocked is tried again after around this time.
const udpAgain = 10 * time.Minute

// learn notes what the attempts showed about places and the network.
func (c *Client) learn(tried []try, now time.Time) {
	overTCP, overUDP := false, false
	for _, t := range tried {
		switch {
		case t.err == nil:
			t.place.worked(t.rtt)
			overTCP, overUDP = overTCP || t.wire == tcp, overUDP || t.wire == udp
		case ended(t.err):
		case t.greeted || t.wire == tcp || c.cfg.NoTCP: // else TCP may still work there
			t.place.failed(now)
		}
		if w, ok := errors.AsType[*sentAway](t.err); ok {
			c.first = append(c.first, c.places.referred(w.server)...)
		}
	}
	switch {
	case overUDP:
		c.noUDP, c.sawUDP = time.Time{}, true
	case overTCP && !c.cfg.NoUDP && !now.Before(c.noUDP):
		c.noUDP, c.sawUDP = now.Add(around(udpAgain)), false
		c.cfg.Logger.Info("UDP seems to be blocked; using TCP")
	}
}

// dismissed deals with an agent that sends the device away.
func (c *Client) dismissed(l *link, w farewell) {
	now := time.Now()
	if l.gone || l.leaving {
		return
	}
	l.leaving, l.why = true, w.why
	l.place.failed(now)
	if l != c.link {
		return
	}
	c.first = c.places.referred(w.server)
	c.dialAt = now.Add(w.pause)
	switch {
	case c.dialing: // it may be our own new connection that took over
	case errors.Is(w.why, ErrTakenOver):
		c.dialAt = now.Add(takeoverLeast + fullJitter(c.takeover, takeoverLeast, takeoverMost))
		c.takeover++
	case len(c.first) == 0 && w.pause == 0:
		c.dialAt = now.Add(fullJitter(0, goAtOnce, goAtOnce))
	}
	c.cfg.Logger.Info("the agent sends this device away", "endpoint", l.place.Addr, "reason", w.why, "server", w.server)
}

const (
	takeoverLeast = 30 * time.Second
	takeoverMost  = 10 * time.Minute
	// Devices that are all sent away at once do not all come at once.
	goAtOnce = 500 * time.Millisecond
)

func without(all, some places) places {
	var left places
	for _, p := range all {
		if !some.has(p) {
			left = append(left, p)
		}
	}
	return left
}

func (all places) has(p *place) bool {
	for _, other := range all {
		if other == p {
			return true
		}
	}
	return false
}

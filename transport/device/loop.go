package device

import (
	"errors"
	"time"
)

// itinerant is what the loop alone reads and writes.
type itinerant struct {
	lanes  *lanes
	places places
	link   *link   // in use; nil: none
	fading []*link // that send nothing more

	dialing  bool
	dialAt   time.Time // not before
	rounds   int       // through the endpoints that failed, in a row
	first    places    // to be tried before the others, once
	returnAt time.Time
	noUDP    time.Time // UDP seems to be blocked; it is tried again then
	sawUDP   bool      // it got through the last time
	probed   bool      // the nearest place was looked for
	alarms   int       // links found silent that had not lived long, in a row
	takeover int       // times in a row that another connection took over
	packet   uint16    // MQTT's last packet identifier
}

func newItinerant(cfg *Config) itinerant {
	return itinerant{lanes: newLanes(cfg.InFlightPerTopic), places: newPlaces(cfg.Endpoints)}
}

// run is the loop.
func (c *Client) run() {
	defer close(c.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.life.Done():
			c.finish()
			return
		case <-c.wake:
		case <-timer.C:
		}
		for _, f := range c.work() {
			f()
		}
		timer.Reset(time.Until(c.step(time.Now())))
	}
}

// longest is how long the loop sleeps when nothing is due.
const longest = time.Hour

// step does what is due and says when the next thing is.
func (c *Client) step(now time.Time) time.Time {
	due := now.Add(longest)
	for _, l := range c.fading { // watch may replace it
		due = earlier(due, c.watch(l, now))
	}
	if c.link != nil {
		due = earlier(due, c.watch(c.link, now))
	}
	c.pump(now)
	c.travel(now)
	if c.link != nil {
		due = earlier(due, earlier(c.lanes.due(), c.link.vigil.due))
	}
	if !c.dialing {
		due = earlier(due, earlier(c.dialDue(), c.returnAt))
	}
	return due
}

// dialDue is when to look for another place; zero: not at all.
func (c *Client) dialDue() time.Time {
	if c.link == nil || c.link.leaving {
		return later(c.dialAt, time.Unix(1, 0))
	}
	return time.Time{}
}

// watch sees to it that a link that is dead, or no longer needed, ends.
func (c *Client) watch(l *link, now time.Time) time.Time {
	switch l.vigil.look(now, l.conn.heard(), len(l.flying) > 0, l.conn.slack(l.bytes)) {
	case ask:
		l.ping()
	case dead:
		c.lost(l, ErrSilent, now)
		return time.Time{}
	case well:
	}
	switch {
	case l.overdue(now, c.cfg.AckTimeout):
		c.lost(l, errLate, now)
		return time.Time{}
	case l != c.link && (len(l.flying) == 0 || now.Sub(l.fades) >= fadeTime):
		c.lost(l, nil, now)
		return time.Time{}
	case l != c.link:
		return earlier(l.vigil.due, l.fades.Add(fadeTime))
	}
	return earlier(l.vigil.due, l.audit)
}

// pump sends what may be sent.
func (c *Client) pump(now time.Time) {
	for l := c.link; l != nil && !l.leaving && len(l.flying) < l.limit; {
		e := c.lanes.next(now)
		if e == nil {
			return
		}
		c.sendOn(l, e, now)
	}
}

func (c *Client) sendOn(l *link, e *entry, now time.Time) {
	if e.expired(now) {
		c.lanes.done(e)
		c.settle(e, ErrExpired)
		return
	}
	m, err := c.keeper.get(e)
	if err != nil {
		c.cfg.Logger.Error("a message cannot be read", "id", e.id, "error", err)
		c.retry(e, now, 0)
		return
	}
	e.link = l
	l.flying[e] = now
	l.bytes += e.size
	l.vigil.spoke(now)
	l.send(e, m)
}

// result is what became of a message that was sent.
type result uint8

const (
	accepted result = iota
	refused
	busy
	failed
	unsent // surely; another connection is to be used
)

type outcome struct {
	result result
	reason string
	after  time.Duration // busy: not before
}

// answered takes in what became of a message on a link.
func (c *Client) answered(l *link, e *entry, o outcome) {
	now := time.Now()
	here := e.link == l // else it was given up, and sent again on another one
	if here {
		l.landed(e)
	}
	switch {
	case e.settled:
	case o.result == accepted || o.result == refused:
		if here {
			c.lanes.done(e)
		}
		c.settle(e, o.err())
	case here && o.result == unsent:
		c.lanes.again(e, time.Time{})
	case here:
		c.cfg.Logger.Debug("a message is to be sent again", "id", e.id, "topic", e.topic, "reason", o.reason)
		c.retry(e, now, o.after)
	}
}

func (o outcome) err() error {
	if o.result == accepted {
		return nil
	}
	return refusedFor(o.reason)
}

// Pauses before a message is sent again.
const (
	retryBase = 500 * time.Millisecond
	retryMost = 30 * time.Second
)

// retry sends a message again, after what the agent asked for or else after a
// time that grows.
func (c *Client) retry(e *entry, now time.Time, after time.Duration) {
	pause := fullJitter(e.tries, retryBase, retryMost)
	if after > 0 {
		pause = after + fullJitter(0, after/2+retryBase, after/2+retryBase)
	}
	e.tries++
	c.lanes.again(e, now.Add(pause))
}

// settle lets a message leave the outbox. Settled is told first: when the outbox
// is empty, all has been told.
func (c *Client) settle(e *entry, err error) {
	e.settled, e.msg = true, nil
	c.keeper.drop(e)
	c.cfg.Settled(Message{ID: e.id, Topic: e.topic, Expires: e.expires}, err)
	c.discharge(e)
	if e.done != nil {
		e.done <- err
	}
}

// lost deals with the end of a link.
func (c *Client) lost(l *link, why error, now time.Time) {
	if l.gone {
		return
	}
	l.gone = true
	for e := range l.flying {
		l.landed(e)
		if !e.settled {
			c.lanes.again(e, time.Time{})
		} else {
			c.lanes.done(e)
		}
	}
	politely := why == nil
	c.working.Go(func() { l.close(politely) })
	if l != c.link {
		c.forget(l)
		return
	}
	c.link = nil
	if l.leaving {
		why = l.why
	} else {
		l.place.failed(now)
	}
	c.cfg.Logger.Info("connection lost", "endpoint", l.place.Addr, "wire", l.wire, "reason", why)
	c.alarmed(why, now.Sub(l.since))
	c.afterwards(now.Sub(l.since), now)
	c.show(State{Phase: c.phase(now), Err: why})
}

// A link that was silent before it had lived so long raises doubts: maybe
// everybody is slow.
const provenAfter = 30 * time.Second

func (c *Client) alarmed(why error, lived time.Duration) {
	switch {
	case lived >= provenAfter:
		c.alarms = 0
	case errors.Is(why, ErrSilent):
		c.alarms++
	}
}

// patience is the silence that is borne after alarms: twice as much with each, up
// to eight times, so that devices that are all late do not reconnect for ever.
func patience(silence time.Duration, alarms int) time.Duration { return silence << min(alarms, 3) }

// afterwards decides when to look for another place: at once, unless the last
// one did not hold.
func (c *Client) afterwards(lived time.Duration, now time.Time) {
	switch {
	case lived < shortLived:
		c.pause(now, 0)
	case lived > takeoverMost:
		c.rounds, c.takeover = 0, 0
	default:
		c.rounds = 0
	}
}

func (c *Client) phase(now time.Time) Phase {
	if now.Before(c.dialAt) {
		return Waiting
	}
	return Connecting
}

var errLate = errors.New("no acknowledgement in time")

// A link that did not live longer is no reason to connect again at once.
const shortLived = time.Second

// fadeTime is how long a link that was left may take for its answers.
const fadeTime = 5 * time.Second

func (c *Client) forget(l *link) {
	for i, other := range c.fading {
		if other == l {
			c.fading = append(c.fading[:i:i], c.fading[i+1:]...)
			return
		}
	}
}

// show tells a change of state.
func (c *Client) show(s State) {
	s.Since = time.Now()
	c.state.Store(&s)
	c.cfg.OnState(c.State())
}

// finish ends what is left.
func (c *Client) finish() {
	if c.link != nil {
		c.fading = append(c.fading, c.link)
	}
	for _, l := range c.fading {
		c.working.Go(func() { l.close(true) })
	}
	c.show(State{Phase: Closed})
}

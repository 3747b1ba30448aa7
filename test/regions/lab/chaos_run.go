//go:build linux

package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// chaos is a schedule under way. Its exercise has the bars of the episode.
type chaos struct {
	*exercise // nil until there is a mesh
	schedule  schedule.Schedule
	log       *schedule.Log
	out       *output
	played    []*played // on this mesh, in the order of their beginning
	judged    time.Time // messages that were due before are
	all       []judge.Bar
	counts    schedule.Counts
}

// played is an event that happened.
type played struct {
	schedule.Event
	agent       *agent   // that it hit
	missed      []*agent // a new policy, or took a bad one
	from, until time.Time
	undo        func(context.Context) error
}

// lasts says that it is not over.
func (p *played) lasts() bool { return p.until.IsZero() }

// during says that it had not begun only after a time, nor was over, and what it
// left behind for so long, before it.
func (p *played) during(from, until time.Time, after time.Duration) bool {
	return p.from.Before(until) && (p.lasts() || p.until.Add(after).After(from))
}

// run does what the log does not have, on one mesh.
func (c *chaos) run(ctx context.Context, opt options) error {
	done := c.log.Of(&c.schedule)
	episodes := schedule.Episodes(c.schedule.Events)
	for n := range episodes {
		if d, was := done[n+1]; was {
			c.add(d)
			c.out.say("episode %d was run already", n+1)
		}
	}
	if len(done) == len(episodes) {
		c.sumUp()
		return nil
	}
	err := withMesh(ctx, opt, c.out, func(m *mesh) error {
		c.exercise = &exercise{mesh: m, ctx: ctx, stalls: watchStalls()}
		defer c.stalls.stop()
		defer c.dismiss()
		return c.follow(episodes, done)
	})
	if ctx.Err() != nil && c.log.Kept() {
		c.out.say("ended before its time: the same command goes on from here")
		err = nil
	}
	c.sumUp()
	return err
}

func (c *chaos) follow(episodes [][]schedule.Event, done map[int]schedule.Done) error {
	if err := c.startFleet(regionNames); err != nil {
		return err
	}
	c.judged = time.Now()
	if err := c.pause(schedule.First); err != nil {
		return err
	}
	before, err := c.footprints()
	if err != nil {
		return err
	}
	for n, events := range episodes {
		if _, was := done[n+1]; was {
			continue
		}
		d, err := c.episode(n+1, events)
		if err != nil {
			return fmt.Errorf("episode %d: %w", n+1, err)
		}
		c.add(d)
		if err := c.log.Add(d); err != nil {
			return err
		}
		if err := await(c.ctx, answered, c.missingNow); err != nil {
			return fmt.Errorf("nothing is judged on a sick mesh: %w", err)
		}
	}
	return c.rest(before)
}

func (c *chaos) add(d schedule.Done) {
	c.all = append(c.all, d.Bars...)
	c.counts.Add(d.Counts)
}

// missingNow says what any agent misses.
func (c *chaos) missingNow() error {
	for _, a := range c.agents() {
		if err := a.missing(c.ctx); err != nil {
			return err
		}
	}
	return nil
}

// moment is when something begins or ends.
type moment struct {
	at    time.Duration
	event int
	ends  bool
}

func moments(events []schedule.Event) (all []moment) {
	for i := range events {
		all = append(all, moment{events[i].At, i, false}, moment{events[i].End(), i, true})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	return all
}

// rested is how long the mesh is seen to work once it is whole.
const rested = 5 * time.Second

// answered is how long a message may be under way.
const answered = 6 * time.Second

// episode breaks and mends, waits until the mesh is whole and has rested, and
// judges.
func (c *chaos) episode(n int, events []schedule.Event) (d schedule.Done, err error) {
	began := time.Now()
	c.drill, c.bars = &drill{name: fmt.Sprintf("episode %d", n)}, nil
	c.out.say("\nepisode %d", n)
	all, err := c.play(began, events)
	if err != nil {
		return d, err
	}
	mended := time.Now()
	c.out.say("%6.1fs  all is mended", mended.Sub(began).Seconds())
	missing := await(c.ctx, wholeWithin, func() error { return c.missingNow() })
	whole := time.Now()
	if c.ctx.Err() != nil {
		return d, c.ctx.Err()
	}
	if err := c.pause(max(schedule.Quiet-time.Since(mended), after+rested+answered)); err != nil {
		return d, err
	}
	v := &ruling{chaos: c, events: all, began: began, mended: mended, whole: whole, from: c.judged, until: time.Now().Add(-answered)}
	if err := v.judge(missing); err != nil {
		return d, err
	}
	c.judged = v.until
	d = schedule.Done{Seed: c.schedule.Seed, Schedule: c.schedule.ID(), Episode: n, Seconds: time.Since(began).Seconds(), Counts: v.counts, Bars: c.bars}
	for i := range events {
		d.What = append(d.What, events[i].String())
	}
	return d, nil
}

// play does the events in their time.
func (c *chaos) play(began time.Time, events []schedule.Event) ([]*played, error) {
	all := make([]*played, len(events))
	first := events[0].At
	for _, m := range moments(events) {
		if err := c.pause(time.Until(began.Add(m.at - first))); err != nil {
			return nil, err
		}
		if !m.ends {
			p := &played{Event: events[m.event], from: time.Now()}
			all[m.event] = p
			c.played = append(c.played, p)
			if err := c.begin(c.ctx, p); err != nil {
				return nil, fmt.Errorf("%s: %w", p.What(), err)
			}
			c.tell(began, p.from, p, "")
			continue
		}
		p := all[m.event]
		if err := p.undo(c.ctx); err != nil {
			return nil, fmt.Errorf("end of %s: %w", p.What(), err)
		}
		p.until = time.Now()
		c.tell(began, p.until, p, "end of ")
	}
	return all, nil
}

func (c *chaos) tell(began, at time.Time, p *played, which string) {
	what := which + p.What()
	if p.agent != nil && p.agent.name != p.On[0] {
		what += " (" + p.agent.name + ")"
	}
	c.out.say("%6.1fs  %s", at.Sub(began).Seconds(), what)
	c.out.event(map[string]any{"event": "fault", "at_seconds": at.Sub(began).Seconds(), "what": what})
}

// rest judges what is left behind when all is over.
func (c *chaos) rest(before map[*agent]footprint) error {
	c.drill, c.bars, c.began = &drill{name: "at the end"}, nil, time.Now()
	if err := c.balance(); err != nil {
		return err
	}
	if err := c.backToBase(before); err != nil {
		return err
	}
	c.out.table(c.bars)
	c.all = append(c.all, c.bars...)
	return nil
}

// fewestBack is how many devices a claim about their return needs.
const fewestBack = 100

// sumUp judges what only all episodes together say.
func (c *chaos) sumUp() {
	n := &c.counts
	share := 100 * float64(n.CriticalOK) / float64(max(n.Critical, 1))
	pooled := judge.AtLeast(fmt.Sprintf("all episodes: critical at living edges, of %d", n.Critical), share, "%", 99.9)
	if why := judge.TooFew(n.Critical, 0.999); why != "" {
		pooled = pooled.Refuse(why)
	}
	back := judge.AtLeast(fmt.Sprintf("all episodes: SDK devices of lost regions back within %s, of %d", backWithin, n.Back+n.Away), 100*float64(n.Back)/float64(max(n.Back+n.Away, 1)), "%", 99)
	if n.Back+n.Away < fewestBack {
		back = back.Refuse(fmt.Sprintf("fewer than %d", fewestBack))
	}
	lost := judge.AtMost(fmt.Sprintf("all episodes: acknowledged and lost, of %d", n.Acked), float64(n.Lost), "messages", 0)
	bars := []judge.Bar{pooled, back, lost}
	for _, b := range bars {
		c.all = append(c.all, b)
		c.out.event(b)
	}
	c.out.say("\n%d messages, %d acknowledged, %d lost, %d that a service has twice", n.Sent, n.Acked, n.Lost, n.Twice)
	c.out.table(bars)
	c.sumUpLog()
}

// sumUpLog tells what the whole log holds, of all seeds.
func (c *chaos) sumUpLog() {
	if !c.log.Kept() {
		return
	}
	seconds, broken := 0.0, 0
	seeds := map[uint64]bool{}
	var all schedule.Counts
	for _, d := range c.log.Done {
		seconds += d.Seconds
		seeds[d.Seed] = true
		all.Add(d.Counts)
		for _, b := range d.Bars {
			if !b.Pass && b.Refused == "" {
				broken++
			}
		}
	}
	c.out.say("the log has %.1f min of %d seeds in %d episodes: %d messages acknowledged, %d lost; %d of %d critical ones failed; %d of %d SDK devices were late; %d bars broken",
		seconds/60, len(seeds), len(c.log.Done), all.Acked, all.Lost, all.Critical-all.CriticalOK, all.Critical, all.Away, all.Back+all.Away, broken)
}

var errNoLead = errors.New("nobody says who leads")

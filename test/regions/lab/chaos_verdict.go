//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// ruling is what is said of one episode.
type ruling struct {
	*chaos
	events               []*played
	began, mended, whole time.Time
	from, until          time.Time // messages due meanwhile are counted
	counts               schedule.Counts
}

const (
	wholeWithin  = 60 * time.Second
	leftWithin   = time.Second     // of a region that is lost
	returnWithin = 3 * time.Second // a region that was severed may be held down after it is back
	apart        = 5 * time.Second // between moments whose effects can be told apart
)

// judge asks for the standing promises.
func (v *ruling) judge(missing error) error {
	wholeAgain := judge.AtMost("every agent sees the whole mesh again", v.whole.Sub(v.mended).Seconds(), "s", wholeWithin.Seconds())
	if missing != nil {
		wholeAgain.Pass = false
		v.out.say("    %s", missing)
	}
	v.bar(wholeAgain, v.mended, v.whole)
	v.served()
	v.devicesBack()
	v.keptWhoLives()
	v.leftWhoIsLost()
	v.plansChangeOnce()
	v.policies()
	v.panics()
	if err := v.ledger(); err != nil {
		return err
	}
	v.print()
	return nil
}

// served judges what became of messages.
func (v *ruling) served() {
	living := slices.DeleteFunc(v.devices.between(v.from, v.until), func(m message) bool { return !v.living(&m) })
	within, name := time.Second, "at living edges succeeded within 1 s"
	if v.slowWay() {
		within, name = 5*time.Second, "at living edges succeeded, over a bad way"
	}
	during := slices.DeleteFunc(slices.Clone(living), func(m message) bool { return m.Due.Before(v.began) || m.Due.After(v.mended) })
	if judge.TooFew(len(during), 0.99) != "" { // it was short: what followed counts too
		during = slices.DeleteFunc(slices.Clone(living), func(m message) bool { return m.Due.Before(v.began) })
	}
	v.share(name, during, within, 99, v.began, v.mended)
	later := slices.DeleteFunc(slices.Clone(living), func(m message) bool { return m.Due.Before(v.whole.Add(after)) })
	v.share("succeeded after all was whole", later, 5*time.Second, 99.9, v.whole, v.until)
	for i := range living {
		v.counts.Sent++
		if living[i].critical() {
			v.counts.Critical++
			if living[i].ok() {
				v.counts.CriticalOK++
			}
		}
	}
}

// devicesBack counts the SDK devices that were at the edges of a lost region, and
// how many were elsewhere in time: an episode has too few of them for a claim.
func (v *ruling) devicesBack() {
	for _, p := range v.events {
		region := p.Loses()
		if region == "" || v.stalls.longest(p.from, p.from.Add(2*backWithin)) > mostStalled {
			continue
		}
		for _, c := range v.fleet.comebacks(p.from, v.until, in(region)) {
			if c.at.IsZero() || c.at.Sub(p.from) > backWithin {
				v.counts.Away++
				v.out.say("    an SDK device of %s was back after %s: %s", region, c.at.Sub(p.from).Round(time.Millisecond), c.why)
			} else {
				v.counts.Back++
			}
		}
	}
}

// slowWay says that no answer within a second can be asked for.
func (v *ruling) slowWay() bool {
	return slices.ContainsFunc(v.events, func(p *played) bool { return p.Fault == schedule.Degrade })
}

func (v *ruling) share(name string, some []message, within time.Duration, least float64, from, until time.Time) {
	bad := slices.DeleteFunc(slices.Clone(some), func(m message) bool { return m.ok() && m.Took <= within })
	share := 100 * float64(len(some)-len(bad)) / float64(max(len(some), 1))
	b := judge.AtLeast(fmt.Sprintf("%s, of %d", name, len(some)), share, "%", least)
	if why := judge.TooFew(len(some), 0.99); why != "" && least < 99.9 {
		b = b.Refuse(why)
	}
	v.bar(b, from, until)
	if b.Pass {
		return
	}
	for i, m := range bad {
		if i%max(len(bad)/8, 1) == 0 {
			v.out.say("    %+6.2fs %s", m.Due.Sub(v.began).Seconds(), &m)
		}
	}
}

// keptWhoLives judges that nobody gave up a region that lived and was to be
// reached.
func (v *ruling) keptWhoLives() {
	wrong := 0
	for _, e := range v.mesh.events(v.from, v.until) {
		if e.what == regionDown && v.reachable(e.agent.region.name, e.about, e.at, e.at, returnWithin) {
			wrong++
			v.out.say("    %+6.2fs given up, but alive: %s", e.at.Sub(v.began).Seconds(), e)
		}
	}
	v.bar(judge.AtMost("regions given up that lived and were to be reached", float64(wrong), "times", 0), v.from, v.until)
}

// leftWhoIsLost judges how long it took until the last agent that nothing harms
// left what it could not reach.
func (v *ruling) leftWhoIsLost() {
	first := map[string]time.Time{} // by agent and region
	for _, e := range v.mesh.events(v.began, v.whole) {
		key := e.agent.name + " " + e.about
		if _, seen := first[key]; e.what == regionDown && !seen {
			first[key] = e.at
		}
	}
	for _, p := range v.events {
		longest, who := time.Duration(0), ""
		for _, a := range v.agents() {
			for _, other := range regionNames {
				if !p.Severs(a.region.name, other) || p.Loses() == a.region.name || v.harmed(a, p.from, p.from.Add(leftWithin), after) {
					continue
				}
				took := p.until.Sub(p.from)
				if at, seen := first[a.name+" "+other]; seen {
					took = max(at.Sub(p.from), 0)
				}
				if took > longest {
					longest, who = took, a.name
				}
			}
		}
		if who != "" {
			v.bar(judge.AtMost(fmt.Sprintf("left by %s, the last, after %s", who, p.What()), longest.Seconds(), "s", leftWithin.Seconds()), p.from, p.from.Add(2*leftWithin))
		}
	}
}

// plansChangeOnce judges that no agent that ran on changed its plan for a service
// more than once after each moment; moments shortly after each other count
// together.
func (v *ruling) plansChangeOnce() {
	var at []time.Time
	for _, p := range v.events {
		at = append(at, p.from, p.until)
	}
	slices.SortFunc(at, time.Time.Compare)
	most, what := 0, ""
	for i := 0; i < len(at); {
		allowed := 1
		for i+allowed < len(at) && at[i+allowed].Sub(at[i+allowed-1]) < apart {
			allowed++
		}
		until := v.until
		if i+allowed < len(at) {
			until = at[i+allowed]
		}
		if n, who := v.planChanges(at[i], until); n-allowed > most {
			most, what = n-allowed, who
		}
		i += allowed
	}
	v.bar(judge.AtMost("changes of a plan beyond one for each event", float64(most), "at an agent", 0), v.began, v.until)
	if most > 0 {
		v.out.say("    %s", what)
	}
}

// planChanges is the most changes of one agent's plan for one service in a time.
func (v *ruling) planChanges(from, until time.Time) (most int, what string) {
	by := map[string][]string{}
	for _, e := range v.mesh.events(from, until) {
		if e.what != planChanged || v.anew(e.agent) {
			continue
		}
		key := e.agent.name + " " + e.about
		by[key] = append(by[key], fmt.Sprintf("%+.2fs %s", e.at.Sub(v.began).Seconds(), e.more))
		if n := len(by[key]); n > most {
			most, what = n, key+": "+strings.Join(by[key], "; ")
		}
	}
	return most, what
}

// anew says that an agent began anew: it learns where to send.
func (v *ruling) anew(a *agent) bool {
	return slices.ContainsFunc(v.events, func(p *played) bool {
		return p.Restarts() && (p.agent == a || p.Loses() == a.region.name)
	})
}

// print shows the bars, and what agents noticed where one is broken.
func (v *ruling) print() {
	v.out.table(v.bars)
	if exitStatus(v.bars) != 1 {
		return
	}
	for _, e := range v.mesh.events(v.began, v.until) {
		v.out.say("    %+6.2fs %s", e.at.Sub(v.began).Seconds(), e)
	}
}

func (o *output) table(some []judge.Bar) {
	t := tabwriter.NewWriter(o.talk, 0, 0, 2, ' ', 0)
	for _, b := range some {
		fmt.Fprintf(t, "  %s\t%.2f %s\t%s\t%s\n", b.Bar, b.Value, b.Unit, b.Bound, verdict(b))
	}
	_ = t.Flush()
}

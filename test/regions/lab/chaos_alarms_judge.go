//go:build linux

package lab

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// decision is that somebody gave a region up, or suspects an agent.
type decision struct {
	at     time.Time
	by     *agent
	region string // about
}

// opinion is what one way to decide made of the run.
type opinion struct {
	Event    string  `json:"event"` // opinion
	Of       string  `json:"of"`
	Suspects int     `json:"false_suspicions"` // of agents that lived and were to be reached
	Deads    int     `json:"false_deaths"`     // the same, held dead
	Regions  int     `json:"false_regions"`    // of which all agents were held dead by somebody
	Cuts     int     `json:"cuts"`             // true ones
	Detected int     `json:"detected"`         // by everybody, while they lasted
	Median   float64 `json:"median_seconds"`   // from a cut until the last one knew it, of those detected
	Longest  float64 `json:"longest_seconds"`
}

// stale is how long after a cut what it caused may come.
const stale = 5 * time.Second

// judge prints what the mesh and what memberlist decided.
func (a *alarms) judge() (status int) {
	own := a.own()
	all := []opinion{own}
	for _, p := range profiles {
		all = append(all, a.others(p.name))
	}
	t := tabwriter.NewWriter(a.out.talk, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%.1f min, %d pulses\tFALSE SUSPICIONS\tAGENTS FALSELY DEAD\tREGIONS FALSELY GONE\tCUTS DETECTED\tAFTER (MEDIAN, LONGEST)\n", a.until.Sub(a.from).Minutes(), len(a.pulses))
	for _, o := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d of %d\t%.2f s, %.2f s\n", o.Of, o.Suspects, o.Deads, o.Regions, o.Detected, o.Cuts, o.Median, o.Longest)
		a.out.event(o)
	}
	_ = t.Flush()
	a.bar(judge.AtMost("regions given up that lived", float64(own.Regions), "times", 0), a.from, a.until)
	a.bar(judge.AtLeast("true cuts that every living agent knew", float64(own.Detected), "cuts", float64(own.Cuts)), a.from, a.until)
	for i, c := range a.cuts {
		took, _ := a.noticed(c, a.decisions())
		a.bar(judge.AtMost(fmt.Sprintf("cut %d: the last living agent left %s", i+1, c.region), took.Seconds(), "s", leftWithin.Seconds()), c.from, c.from.Add(2*leftWithin))
	}
	a.out.table(a.bars)
	return exitStatus(a.bars)
}

// true says that a decision was right: a cut lasted, or was over shortly before.
func (a *alarms) true(d decision) bool {
	return slices.ContainsFunc(a.cuts, func(c cut) bool {
		concerns := d.region == c.region || d.by.region.name == c.region
		return concerns && d.at.After(c.from) && d.at.Before(c.until.Add(stale))
	})
}

func (a *alarms) falseOnes(all []decision) (n int) {
	for _, d := range all {
		if !d.at.Before(a.from) && d.at.Before(a.until) && !a.true(d) {
			n++
		}
	}
	return n
}

// decisions of the mesh.
func (a *alarms) decisions() (all []decision) {
	for _, e := range a.events(a.from, a.until) {
		if e.what == regionDown {
			all = append(all, decision{e.at, e.agent, e.about})
		}
	}
	return all
}

func (a *alarms) own() opinion {
	all := a.decisions()
	for _, d := range all {
		if !a.true(d) {
			a.out.say("    given up, but alive: %s by %s at %s", d.region, d.by.name, d.at.Format("15:04:05.000"))
		}
	}
	o := opinion{Event: "opinion", Of: "this mesh", Regions: a.falseOnes(all)}
	a.detect(&o, all)
	return o
}

// others is what a profile of memberlist decided. A region is gone for a witness
// once it holds all its agents dead.
func (a *alarms) others(pool string) opinion {
	o := opinion{Event: "opinion", Of: pool}
	var suspects, deads, regions []decision
	for _, w := range a.witnesses {
		held := map[string]map[string]bool{} // dead agents, by region
		for _, t := range w.testimonies(pool) {
			d := decision{t.At, w.agent, a.agent(t.About).region.name}
			if held[d.region] == nil {
				held[d.region] = map[string]bool{}
			}
			switch t.What {
			case suspected:
				suspects = append(suspects, d)
			case alive:
				delete(held[d.region], t.About)
			case dead:
				deads = append(deads, d)
				if held[d.region][t.About] = true; len(held[d.region]) == agentsEach && d.region != w.agent.region.name {
					regions = append(regions, d)
				}
			}
		}
	}
	o.Suspects, o.Deads, o.Regions = a.falseOnes(suspects), a.falseOnes(deads), a.falseOnes(regions)
	a.detect(&o, regions)
	return o
}

// detect fills in how soon true cuts were known.
func (a *alarms) detect(o *opinion, all []decision) {
	var took []time.Duration
	for _, c := range a.cuts {
		if d, everybody := a.noticed(c, all); everybody {
			took = append(took, d)
		}
	}
	o.Cuts, o.Detected = len(a.cuts), len(took)
	o.Median, o.Longest = judge.Quantile(took, 0.5).Seconds(), judge.Quantile(took, 1).Seconds()
}

// noticed is how long it took from a cut until the last one of those on the other
// side knew it, but for who was paused then; the length of the cut when not all did.
func (a *alarms) noticed(c cut, all []decision) (took time.Duration, everybody bool) {
	for _, who := range a.agents() {
		if who.region.name == c.region || a.paused(who, c.from.Add(-leftWithin), c.from.Add(leftWithin)) {
			continue
		}
		knew := c.until
		for _, d := range all {
			if d.by == who && d.region == c.region && d.at.After(c.from) && d.at.Before(knew) {
				knew = d.at
			}
		}
		if knew.Equal(c.until) {
			return c.until.Sub(c.from), false
		}
		took = max(took, knew.Sub(c.from))
	}
	return took, true
}

func (a *alarms) paused(who *agent, from, until time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.pulses, func(p pulse) bool { return p.agent == who && p.from.Before(until) && p.until.After(from) })
}

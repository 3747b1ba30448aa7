package drill

import (
	"math"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// timeline is what happened, in slots of equal length.
type timeline struct {
	from  time.Duration // on the time line: below zero, as it begins with the warm-up
	width time.Duration // of a slot
	slots []slot
}

// slot is what happened in one. What nothing is known of is not in the maps.
type slot struct {
	succeeded, shed, failed float64            // a second
	success                 map[string]float64 // by class, %
	p99                     map[string]float64 // by class, ms
	served                  map[string]float64 // by region, %
	threshold               map[string]float64 // by region, the highest of its agents
}

const mostSlots = 240

// timeline sums up the whole run.
func (rep *Report) timeline() *timeline {
	d, rec := rep.drill, rep.record
	span := d.lead() + rep.lasted()
	t := &timeline{from: -d.lead(), width: time.Second}
	for int(math.Ceil(span.Seconds()/t.width.Seconds())) > mostSlots {
		t.width += time.Second
	}
	t.slots = make([]slot, int(math.Ceil(span.Seconds()/t.width.Seconds())))
	if rec.observing {
		rec.fillSeen(t)
	} else {
		rec.fill(t)
	}
	rec.fillThresholds(t)
	return t
}

// lasted is how much of the time line went by.
func (rep *Report) lasted() time.Duration {
	switch {
	case rep.Outcome == NoVerdict:
		return 0
	case rep.Aborted != nil:
		return time.Duration(rep.Aborted.Seconds * float64(time.Second))
	}
	return rep.drill.Duration
}

// scopeOf is the time of a slot.
func (t *timeline) scopeOf(n int) scope {
	from := t.from + time.Duration(n)*t.width
	return scope{from: from, until: from + t.width}
}

// fill goes by what devices were told.
func (r *record) fill(t *timeline) {
	in := make([][]*load.Result, len(t.slots))
	r.each(&scope{from: t.from, until: t.from + time.Duration(len(t.slots))*t.width}, func(res *load.Result, at time.Duration) {
		n := int((at - t.from) / t.width)
		in[n] = append(in[n], res)
	})
	for n := range t.slots {
		t.slots[n] = slotOf(in[n], t.width.Seconds())
	}
}

func slotOf(results []*load.Result, seconds float64) slot {
	s := slot{success: map[string]float64{}, p99: map[string]float64{}, served: map[string]float64{}}
	var well float64 // where it is known who served
	for _, class := range policy.Classes() {
		var all, ok float64
		var took []time.Duration
		for _, res := range results {
			if res.Kind.Class != class {
				continue
			}
			all++
			switch res.Outcome() {
			case load.Succeeded:
				ok++
				s.succeeded += 1 / seconds
				if res.Region != "" {
					well++
					s.served[res.Region]++
				}
			case load.Shed:
				s.shed += 1 / seconds
			default:
				s.failed += 1 / seconds
			}
			if res.Err == nil {
				took = append(took, res.Latency)
			}
		}
		if all > 0 {
			s.success[class.String()] = 100 * ok / all
		}
		if ms, samples := nearestRank(took, 0.99); samples > 0 {
			s.p99[class.String()] = ms
		}
	}
	for region := range s.served {
		s.served[region] *= 100 / well
	}
	return s
}

// fillSeen goes by what agents counted.
func (r *record) fillSeen(t *timeline) {
	for n := range t.slots {
		all := t.scopeOf(n)
		sum := r.seen(&all)
		seconds := t.width.Seconds()
		s := slot{succeeded: sum.succeeded / seconds, shed: sum.shed / seconds, failed: sum.failed / seconds,
			success: map[string]float64{}, p99: map[string]float64{}, served: map[string]float64{}}
		for _, class := range policy.Classes() {
			of := all
			of.class = class.String()
			if sum := r.seen(&of); sum.all() > 0 {
				s.success[of.class] = percentOf(sum.succeeded, sum.all())
			}
			if ms, samples, _ := r.p99Seen(&Invariant{scope: of}); samples > 0 {
				s.p99[of.class] = ms
			}
		}
		well, by := 0.0, r.servedSeen(&all)
		for _, count := range by {
			well += count
		}
		for region, count := range by {
			if well > 0 && region != "" {
				s.served[region] = 100 * count / well
			}
		}
		t.slots[n] = s
	}
}

// fillThresholds takes a sample to hold until the next one is due, and a little longer.
func (r *record) fillThresholds(t *timeline) {
	for n := range t.slots {
		t.slots[n].threshold = map[string]float64{}
	}
	r.agents.each(thresholds, "", func(s *series) {
		if s.labels["region"] != "" { // that for what goes elsewhere
			return
		}
		for _, p := range s.points {
			seen := p.at.Sub(r.began) - t.from
			for n := max(int(seen/t.width), 0); n < len(t.slots) && time.Duration(n)*t.width <= seen+sampleEvery*3/2; n++ {
				highest := t.slots[n].threshold
				highest[s.region] = max(highest[s.region], p.value)
			}
		}
	})
}

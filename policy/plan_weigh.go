package policy

import "fmt"

func (w *waterfall) shareOf(region string) float64 {
	if w.shares == nil {
		return 0
	}
	return w.shares.Weight(region)
}

// weigh gives the legs the shares of the service.
func (w *waterfall) weigh() {
	if len(w.legs) == 0 {
		return
	}
	sum := 0.0
	for n := range w.legs {
		w.legs[n].Weight = w.shareOf(w.legs[n].Region)
		sum += w.legs[n].Weight
	}
	switch {
	case w.hasLocal() && w.shares != nil:
		w.legs[0].Weight = max(0, w.legs[0].Weight+1-sum)
	case sum <= 0:
		w.byRoom()
	default:
		w.scale(sum)
	}
	w.tell()
}

// byRoom is for a route whose regions have no share of the service's demand:
// those that have room get it, in proportion, so that the nearest is not
// overrun. Where no room is known the first leg gets all.
func (w *waterfall) byRoom() {
	sum := 0.0
	for n := range w.legs {
		load := w.view.loadOf(w.legs[n].Region, w.target)
		if w.shares != nil {
			w.legs[n].Weight = max(0, DefaultSpillConfig().Target*sane(load.Capacity)-load.total())
		}
		sum += w.legs[n].Weight
	}
	if sum <= 0 {
		w.legs[0].Weight = 1
		return
	}
	w.scale(sum)
}

func (w *waterfall) scale(sum float64) {
	for n := range w.legs {
		w.legs[n].Weight /= sum
	}
}

// tell adds to the trace what the weights come from.
func (w *waterfall) tell() {
	if w.trace == nil || w.shares == nil {
		return
	}
	for n, step := range w.taken {
		leg := &w.legs[n]
		text := fmt.Sprintf("; share %.1f%%", leg.Weight*100)
		if leg.Local {
			text += " (" + w.shares.Reason + ")"
		}
		load := w.view.loadOf(leg.Region, w.target)
		text += load.describe()
		if leg.Weight == 0 {
			text += "; " + w.whyNothing(load)
		}
		if kind := w.view.override(leg.Region); kind != 0 {
			text += "; " + w.view.Overrides[leg.Region].describe()
		}
		w.trace.Steps[step].Reason += text
	}
}

// whyNothing says why a leg that could serve is only for what fails elsewhere.
func (w *waterfall) whyNothing(load Load) string {
	target := DefaultSpillConfig().Target
	switch {
	case w.hasLocal() && w.legs[0].Weight == 1:
		return "nothing spills"
	case load.Capacity > 0 && load.total() >= target*sane(load.Capacity):
		return fmt.Sprintf("it has no room below %.0f%% of its capacity", 100*target)
	}
	return "nearer ones have room, or it has just come back"
}

func (v *View) loadOf(region, target string) Load {
	if region == v.Region {
		return v.Home[target]
	}
	if r := v.Regions[region]; r != nil {
		return r.Ready[target]
	}
	return Load{}
}

// total is the demand of all classes, in req/s.
func (l Load) total() float64 {
	sum := 0.0
	for _, rate := range l.Demand {
		sum += sane(rate)
	}
	return sum
}

func (l Load) describe() string {
	capacity, demand := sane(l.Capacity), l.total()
	if capacity == 0 {
		return fmt.Sprintf("; capacity not known, its own demand %.4g/s", demand)
	}
	return fmt.Sprintf("; its own demand %.4g/s is %.0f%% of its capacity of %.4g/s", demand, demand/capacity*100, capacity)
}

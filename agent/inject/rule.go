package inject

import (
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/transport/fault"
)

// Rule is what a fault does to the traffic between its two regions, for a process
// that has the agents of both.
func Rule(f *admin.Fault) fault.Rule {
	r := fault.Rule{ID: f.ID, From: region(f.From), To: region(f.To), Delay: duration(f.Delay), Jitter: duration(f.Jitter)}
	if f.OneWay {
		r.Direction = fault.Out
	}
	switch f.Kind {
	case admin.FaultCut:
		r.Drop = 1
	case admin.FaultLoss:
		r.Drop = f.ShareOf()
	}
	return r
}

// RuleAt is the part of a fault that an agent of a region brings about: what
// leaves it. Nobody else does it again. ok is false where there is none.
func RuleAt(at string, f *admin.Fault) (r fault.Rule, ok bool) {
	switch r = Rule(f); {
	case f.Kind == admin.FaultRegionOutage && f.Region == at:
		cut := fault.CutRegions(at)
		cut.ID = f.ID
		return cut, true
	case f.Kind != admin.FaultLatency && f.Kind != admin.FaultLoss && f.Kind != admin.FaultCut:
		return r, false
	case at == f.To && !f.OneWay:
		r.From, r.To = r.To, r.From
	case at != f.From:
		return r, false
	}
	r.Direction = fault.Out
	return r, true
}

func region(name string) fault.Party { return fault.Party{Regions: []string{name}} }

// duration of a text that Check found good; 0 where there is none.
func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}

package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// byClass prints requests a second, most important class first.
func byClass(rates admin.ByClass) string {
	var parts []string
	classes := policy.Classes()
	for n := len(classes) - 1; n >= 0; n-- {
		if rate, ok := rates[classes[n].String()]; ok {
			parts = append(parts, classes[n].String()+" "+perSecond(rate))
		}
	}
	return strings.Join(parts, ", ")
}

// perSecond prints a rate; nothing when it is not known.
func perSecond(rate float64) string {
	switch {
	case rate == 0 || math.IsNaN(rate):
		return ""
	case rate < 10:
		return fmt.Sprintf("%.1f/s", rate)
	}
	return fmt.Sprintf("%.0f/s", rate)
}

func percent(share float64) string {
	switch {
	case share == 0:
		return ""
	case share < 0.01:
		return fmt.Sprintf("%.1f%%", 100*share)
	}
	return fmt.Sprintf("%.0f%%", 100*share)
}

// inbound prints spill that is expected, by cause.
func inbound(all []admin.Inbound) string {
	var parts []string
	for _, i := range all {
		if sum := perSecond(i.Rates.Sum()); sum != "" {
			parts = append(parts, sum+" from "+i.From)
		}
	}
	return strings.Join(parts, ", ")
}

func loadCells(l *admin.RegionLoad) (capacity, demand, threshold, wait string) {
	if l == nil {
		return "", "", "", ""
	}
	return perSecond(l.Capacity), byClass(l.Demand), l.Threshold, rtt(l.QueueWaitSeconds)
}

// admissionCells are what one agent's admission holds: requests under way of
// those allowed, waiting ones, the rejected share.
func admissionCells(a *admin.Admission) (inFlight, queued, rejecting string) {
	if a == nil {
		return "", "", ""
	}
	return fmt.Sprintf("%d/%d", a.InFlight, a.Limit), count(a.Queued), percent(a.Rejecting)
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// weights prints where a region's demand is to go.
func weights(shares []admin.Share) string {
	var parts []string
	for _, s := range shares {
		if s.Weight > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", s.Region, percent(s.Weight)))
		}
	}
	return strings.Join(parts, ", ")
}

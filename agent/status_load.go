package agent

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// overrideOf is the operator's word on a region, nil when none is in force.
func overrideOf(v *policy.View, region string) *admin.Override {
	o, ok := v.Overrides[region]
	if !ok {
		return nil
	}
	out := &admin.Override{Kind: o.Kind.String(), Reason: o.Reason, By: o.By}
	if !o.Expires.IsZero() {
		left := time.Until(o.Expires).Seconds()
		if left <= 0 {
			return nil
		}
		out.LeftSeconds = &left
	}
	return out
}

func regionLoad(l policy.Load) *admin.RegionLoad {
	return &admin.RegionLoad{Capacity: l.Capacity, Demand: admin.Rates(l.Demand), InFlight: l.InFlight,
		Threshold: admin.Threshold(l.Threshold), QueueWaitSeconds: l.QueueWait.Seconds()}
}

// sumLoads adds services up; subsets are parts of them. The capacity is not
// known when that of one service with demand is not.
func sumLoads(loads map[string]policy.Load) *admin.RegionLoad {
	var sum policy.Load
	known := true
	for target, l := range loads {
		if strings.Contains(target, "/") {
			continue
		}
		sum.InFlight += l.InFlight
		sum.Capacity += l.Capacity
		sum.Threshold = max(sum.Threshold, l.Threshold)
		sum.QueueWait = max(sum.QueueWait, l.QueueWait)
		for class, rate := range l.Demand {
			sum.Demand[class] += rate
		}
		known = known && (l.Capacity > 0 || l.Demand == [4]float64{})
	}
	if !known {
		sum.Capacity = 0
	}
	return regionLoad(sum)
}

func addShares(out *admin.Service, s *policy.Shares) {
	if s == nil {
		return
	}
	out.ShareReason, out.Expected = s.Reason, inbounds(s.Expected)
	for _, leg := range s.Legs {
		out.Shares = append(out.Shares, admin.Share{Region: leg.Region, Weight: leg.Weight})
	}
}

func inbounds(expected []policy.Inbound) []admin.Inbound {
	var all []admin.Inbound
	for _, i := range expected {
		all = append(all, admin.Inbound{From: i.From, Rates: admin.Rates(i.Rates)})
	}
	return all
}

// sumExpected adds up the spill that all services expect here, by cause.
func sumExpected(v *policy.View) []admin.Inbound {
	sums := map[string][4]float64{}
	for _, s := range v.Shares {
		for _, i := range s.Expected {
			sum := sums[i.From]
			for class, rate := range i.Rates {
				sum[class] += rate
			}
			sums[i.From] = sum
		}
	}
	var all []policy.Inbound
	for _, from := range slices.Sorted(maps.Keys(sums)) {
		all = append(all, policy.Inbound{From: from, Rates: sums[from]})
	}
	return inbounds(all)
}

// admitting is what this agent's admissions hold, by target and by region; its
// own region is "".
type admitting map[string]map[string]policy.AdmissionStats

func (s *admissions) stats() admitting {
	all := admitting{}
	s.each(func(target, region string, adm *policy.Admission) {
		if all[target] == nil {
			all[target] = map[string]policy.AdmissionStats{}
		}
		all[target][region] = adm.Stats()
	})
	return all
}

// addTo shows the admissions of a whole service.
func (a admitting) addTo(out *admin.Service) {
	of := a[out.Name]
	if s, ok := of[""]; ok {
		out.Admission = admin.AdmissionOf(s)
	}
	for n := range out.Regions {
		if s, ok := of[out.Regions[n].Region]; ok {
			out.Regions[n].Admission = admin.AdmissionOf(s)
		}
	}
}

// sumTo adds up what leads to a region, over all targets; region is empty for
// the own one.
func (a admitting) sumTo(out *admin.Region, region string) {
	for _, of := range a {
		if s, ok := of[region]; ok {
			out.Limit += s.Limit
			out.Queued += s.Queued
			out.Rejecting = max(out.Rejecting, s.Rejecting)
		}
	}
}

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/overload/flood"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// Four kinds of messages, critical first; lower classes share what is left as
// 2:3:5.
func mixed(critical float64) []flood.Kind {
	rest := 1 - critical
	return []flood.Kind{
		{Name: "critical", Class: policy.Critical, Path: "/critical", Weight: critical},
		{Name: "high", Class: policy.High, Path: "/high", Weight: 0.2 * rest},
		{Name: "normal", Class: policy.Normal, Path: "/normal", Weight: 0.3 * rest},
		{Name: "bulk", Class: policy.Bulk, Path: "/bulk", Weight: 0.5 * rest},
	}
}

// Indices of the kinds.
const (
	critical = 0
	bulk     = 3
)

// criticalShare is 20% of the load.
const criticalShare = 0.2

// tally counts what became of some requests.
type tally struct{ sent, ok, refused int }

func (t tally) success() float64 {
	if t.sent == 0 {
		return 0
	}
	return 100 * float64(t.ok) / float64(t.sent)
}

func (t *tally) add(r *flood.Result) {
	t.sent++
	if r.OK() {
		t.ok++
	}
	if r.Refused() {
		t.refused++
	}
}

// settle is left out at the beginning of a steady load.
const settle = 3 * time.Second

// byKind counts requests that were due from a moment on.
func byKind(load *flood.Load, from time.Duration) []tally {
	all := make([]tally, len(load.Plan.Kinds))
	for i := range load.Results {
		if r := &load.Results[i]; r.Due >= from {
			all[r.Kind].add(r)
		}
	}
	return all
}

// goodput is successes a second whose answers ended in a stretch of the load.
func goodput(load *flood.Load, from, to time.Duration) float64 {
	ok := 0
	for i := range load.Results {
		if r := &load.Results[i]; r.OK() && r.Done() >= from && r.Done() < to {
			ok++
		}
	}
	return float64(ok) / (to - from).Seconds()
}

// windows counts, second by second, what was refused of what was due.
func windows(load *flood.Load, from, to time.Duration) []judge.Window {
	all := make([]judge.Window, int((to-from)/time.Second))
	for i := range load.Results {
		r := &load.Results[i]
		if r.Due < from || r.Due >= from+time.Duration(len(all))*time.Second {
			continue
		}
		w := &all[int((r.Due-from)/time.Second)]
		w.All++
		if r.Refused() {
			w.Part++
		}
	}
	return all
}

func judged(bars []judge.Bar, why string) []judge.Bar {
	if why == "" {
		return bars
	}
	for i := range bars {
		bars[i] = bars[i].Refuse(why)
	}
	return bars
}

// sayReasons tells why critical requests that were due from a moment on did
// not succeed, by status and the answer's reason.
func (l *lab) sayReasons(load *flood.Load, c flood.Client, from time.Duration) {
	namer, ok := c.(interface{ Name(flood.Reason) string })
	counts := map[string]int{}
	for i := range load.Results {
		if r := &load.Results[i]; ok && r.Kind == critical && !r.OK() && r.Due >= from {
			counts[strings.TrimSpace(fmt.Sprintf("%d %s at edge %d", r.Status, namer.Name(r.Reason), r.Edge))]++
		}
	}
	if len(counts) > 0 {
		l.say("  critical without success: %v", counts)
	}
}

package main

import (
	"context"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// decisionTime measures a decision with its slot taken and given back.
func decisionTime(_ context.Context, _ *lab) ([]judge.Bar, error) {
	before, err := judge.Now()
	if err != nil {
		return nil, err
	}
	worst := testing.Benchmark(admitting)
	after, err := judge.Now()
	if err != nil {
		return nil, err
	}
	time := judge.AtMost("admission decision", float64(worst.T.Nanoseconds())/float64(worst.N), "ns", 200)
	allocs := judge.AtMost("admission decision, allocations", float64(worst.AllocsPerOp()), "", 0)
	return judged([]judge.Bar{time, allocs}, judge.Conditions{Busy: after.Busy(before)}.Unfit()), nil
}

func admitting(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
	entry := policy.Entry{Rank: policy.RankOf(policy.Normal, 17, false, false), Deadline: now.Add(time.Minute)}
	sample := policy.Sample{Latency: 10 * time.Millisecond, Outcome: policy.OutcomeOK, Class: policy.Normal}
	for b.Loop() {
		if a.Enter(now, entry, nil).Verdict == policy.Admitted {
			a.Leave(now, sample)
		}
	}
}

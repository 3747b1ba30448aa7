package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func BenchmarkAdmission(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	entry := policy.Entry{Rank: policy.RankOf(policy.Normal, 5, false, false), Deadline: now.Add(time.Hour)}
	sample := policy.Sample{Latency: 10 * time.Millisecond, Class: policy.Normal}
	roomy := func() *policy.Admission {
		a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
		a.SetAdaptive(false)
		return a
	}
	pair := func(a *policy.Admission) {
		a.Enter(now, entry, nil)
		a.Leave(now, sample)
	}
	refused := roomy()
	refused.SetFloor(policy.MaxRank)
	b.Run("admit-and-leave", func(b *testing.B) {
		b.ReportAllocs()
		a := roomy()
		for b.Loop() {
			pair(a)
		}
	})
	b.Run("refuse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			refused.Enter(now, entry, nil)
		}
	})
	b.Run("contended", func(b *testing.B) {
		b.ReportAllocs()
		a := roomy()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				pair(a)
			}
		})
	})
}

func TestAdmissionDoesNotAllocate(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := policy.NewAdmission(policy.DefaultAdmissionConfig(), now)
	waiter := &policy.Waiter{Decided: func(policy.Admit) {}}
	for range 8 {
		a.Enter(now, policy.Entry{Rank: policy.MaxRank}, nil)
	}
	allocs := testing.AllocsPerRun(1000, func() {
		a.Enter(now, policy.Entry{Rank: policy.MaxRank}, waiter) // queued
		a.Leave(now, policy.Sample{Latency: time.Millisecond})   // which lets it in
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

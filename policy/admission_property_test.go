package policy_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"pgregory.net/rapid"
)

// book keeps what an Admission promised to one caller.
type book struct {
	t       *rapid.T
	a       *policy.Admission
	now     time.Time
	holding int
	waiting map[*policy.Waiter]policy.Rank
	decided map[*policy.Waiter]int
	hard    int
}

func (b *book) check(rank policy.Rank, v policy.Admit) {
	switch v.Verdict {
	case policy.Admitted:
		b.holding++
		if v.Threshold > rank {
			b.t.Fatalf("%v admitted below the threshold %v", rank, v.Threshold)
		}
	case policy.Shed:
		if v.Reason != policy.ShedDeadline && v.Reason != policy.ShedNone && v.Threshold <= policy.MaxRank {
			lowest := v.Threshold.Class()
			if !rank.OverQuota() && v.Threshold < policy.RankOf(rank.Class(), 0, true, false) {
				b.t.Fatalf("%v refused (%v) at %v, which admits %v", rank, v.Reason, v.Threshold, lowest)
			}
		}
	}
}

func (b *book) enter() {
	rank := policy.Rank(rapid.Uint16Range(0, uint16(policy.MaxRank)+1).Draw(b.t, "rank"))
	e := policy.Entry{Rank: rank}
	if rapid.Bool().Draw(b.t, "has deadline") {
		e.Deadline = b.now.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(b.t, "deadline")))
	}
	rank = min(rank, policy.MaxRank)
	w := new(policy.Waiter)
	w.Decided = func(v policy.Admit) {
		if b.decided[w]++; b.decided[w] > 1 {
			b.t.Fatalf("%v decided %d times", rank, b.decided[w])
		}
		delete(b.waiting, w)
		b.check(rank, v)
	}
	b.waiting[w] = rank
	if v := b.a.Enter(b.now, e, w); v.Verdict != policy.Queued {
		delete(b.waiting, w)
		b.check(rank, v)
	}
}

func (b *book) leave() {
	if b.holding == 0 {
		return
	}
	b.holding--
	latency := rapid.OneOf(rapid.Int64Range(0, int64(time.Second)), rapid.SampledFrom([]int64{math.MinInt64, -1, math.MaxInt64})).Draw(b.t, "latency")
	b.a.Leave(b.now, policy.Sample{Latency: time.Duration(latency), Outcome: policy.Outcome(rapid.IntRange(0, 5).Draw(b.t, "outcome")),
		Class: policy.Class(rapid.IntRange(0, 9).Draw(b.t, "class"))})
}

func (b *book) abandon() {
	for w := range b.waiting {
		if !b.a.Abandon(w) {
			b.t.Fatal("one who waits could not leave the queue")
		}
		delete(b.waiting, w)
		if b.decided[w]++; b.a.Abandon(w) {
			b.t.Fatal("abandoned twice")
		}
		return
	}
}

func (b *book) upset() {
	rates := [4]float64{math.NaN(), math.Inf(1), -5, rapid.Float64().Draw(b.t, "rate")}
	b.a.Expect(policy.Expectation{Rates: rates, Moving: rates, Cause: "b"})
	b.a.SetFloor(policy.Rank(rapid.Uint16().Draw(b.t, "floor")))
	b.hard = rapid.IntRange(-3, 20).Draw(b.t, "hard")
	b.a.SetHard(b.hard)
	b.a.SetInstances(rapid.IntRange(-1, 4).Draw(b.t, "instances"))
	b.a.SetAgents(rapid.IntRange(-1, 4).Draw(b.t, "agents"))
}

func (b *book) pass() {
	b.now = b.now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(2*time.Second)).Draw(b.t, "passes")))
	b.a.Tick(b.now)
}

// The slots taken are those of the requests admitted, everyone who waits is told
// once, no class is refused at a threshold that admits a lower one, and nothing
// absurd is ever believed.
func TestAdmissionKeepsItsBookWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		b := &book{t: t, now: now, a: policy.NewAdmission(policy.DefaultAdmissionConfig(), now), waiting: map[*policy.Waiter]policy.Rank{}, decided: map[*policy.Waiter]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"enter":   func(*rapid.T) { b.enter() },
			"enter 2": func(*rapid.T) { b.enter() },
			"leave":   func(*rapid.T) { b.leave() },
			"abandon": func(*rapid.T) { b.abandon() },
			"upset":   func(*rapid.T) { b.upset() },
			"pass":    func(*rapid.T) { b.pass() },
			"": func(t *rapid.T) {
				s := b.a.Stats()
				if s.InFlight != b.holding || s.Queued != len(b.waiting) {
					t.Fatalf("%d in flight and %d waiting, but %+v", b.holding, len(b.waiting), s)
				}
				if s.Limit < 1 || s.Limit > 10_000 || (b.hard > 0 && s.Limit > b.hard) {
					t.Fatalf("limit %d, hard %d", s.Limit, b.hard)
				}
				for _, x := range append(s.Expected[:], s.Capacity, s.Serving, s.Rejecting) {
					if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
						t.Fatalf("%+v", s)
					}
				}
			},
		})
		b.a.SetFloor(0)
		for b.holding > 0 {
			b.leave()
		}
		for range 150 {
			b.now = b.now.Add(100 * time.Millisecond)
			b.a.Tick(b.now)
			for b.holding > 0 {
				b.leave()
			}
		}
		if s := b.a.Stats(); s.InFlight != 0 || s.Queued != 0 || b.a.Enter(b.now, policy.Entry{}, nil).Verdict != policy.Admitted {
			t.Fatalf("fifteen seconds after everything ended even the lowest rank should get in: %+v", b.a.Stats())
		}
	})
}

func TestAdmissionHoldsItsLimitUnderConcurrency(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := policy.NewAdmission(policy.DefaultAdmissionConfig(), start)
	a.SetAdaptive(false)
	const limit, callers, each = 5, 16, 2000
	a.SetHard(limit)
	var inside, most, undecided atomic.Int64
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for i := range each {
				now := start.Add(time.Duration(i) * time.Microsecond)
				told := make(chan policy.Admit, 2)
				w := &policy.Waiter{Decided: func(v policy.Admit) { told <- v }}
				v := a.Enter(now, policy.Entry{Rank: policy.RankOf(policy.Class(caller%4), uint8(i%128), false, false)}, w)
				if v.Verdict == policy.Queued {
					if i%7 == 0 && a.Abandon(w) {
						continue
					}
					v = <-told
				}
				if v.Verdict != policy.Admitted {
					continue
				}
				n := inside.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				inside.Add(-1)
				a.Leave(now, policy.Sample{Latency: time.Microsecond})
				undecided.Add(int64(len(told)))
				if i%100 == 0 {
					a.Tick(now)
				}
			}
		})
	}
	group.Wait()
	if s := a.Stats(); most.Load() > limit || s.InFlight != 0 || s.Queued != 0 || undecided.Load() != 0 {
		t.Errorf("at most %d inside of %d, %d told twice, left: %+v", most.Load(), limit, undecided.Load(), s)
	}
}

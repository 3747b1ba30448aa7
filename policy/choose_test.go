package policy

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// picks counts what Pick draws, by place in the pool.
func picks(p *Pool, now time.Time, n int, exclude ...*Instance) map[*Instance]int {
	rng := rand.New(rand.NewPCG(1, 2))
	count := make(map[*Instance]int)
	for range n {
		count[p.Pick(rng.Uint64(), now, exclude...)]++
	}
	return count
}

func TestPickSpreadsOverEquals(t *testing.T) {
	p := readyPool(10)
	for i, n := range picks(p, instanceTime, 10_000) {
		if n < 800 || n > 1200 {
			t.Errorf("%s got %d of 10000 among ten", i.ID, n)
		}
	}
}

func TestPickAvoidsTheBusy(t *testing.T) {
	p := readyPool(3)
	for range 5 {
		p.Instances[0].Begin()
	}
	if n := picks(p, instanceTime, 1000)[p.Instances[0]]; n != 0 {
		t.Errorf("the busiest of three got %d", n)
	}
}

func TestPickAvoidsTheSlowInProportion(t *testing.T) {
	p := readyPool(2)
	slow, fast := p.Instances[0], p.Instances[1]
	for i, took := range map[*Instance]time.Duration{slow: 30 * time.Millisecond, fast: 10 * time.Millisecond} {
		i.Begin()
		i.End(instanceTime, took, OutcomeOK)
	}
	fast.Begin()
	if n := picks(p, instanceTime, 100)[fast]; n != 100 {
		t.Errorf("2 x 10 ms against 1 x 30 ms: fast got %d of 100", n)
	}
	for range 3 {
		fast.Begin()
	}
	if n := picks(p, instanceTime, 100)[slow]; n != 100 {
		t.Errorf("5 x 10 ms against 1 x 30 ms: slow got %d of 100", n)
	}
}

func TestTheOnceSlowIsTriedAgainWithoutAFlood(t *testing.T) {
	p := readyPool(2)
	slow, fast := p.Instances[0], p.Instances[1]
	slow.Begin()
	slow.End(instanceTime, time.Second, OutcomeOK)
	now := instanceTime.Add(20 * time.Second)
	fast.Begin()
	fast.End(now, 10*time.Millisecond, OutcomeOK)
	fast.Begin()
	if picks(p, now, 100)[slow] != 100 {
		t.Error("an idle instance is never tried again")
	}
	slow.Begin()
	slow.Begin()
	if picks(p, now, 100)[slow] != 0 {
		t.Error("an idle instance is taken for faster than the fast one")
	}
}

func TestPickKeepsOffWhatIsExcluded(t *testing.T) {
	p := readyPool(3)
	count := picks(p, instanceTime, 300, p.Instances[0], nil, p.Instances[2])
	if count[p.Instances[1]] != 300 {
		t.Errorf("%v", count)
	}
	if got := p.Pick(1, instanceTime, p.Instances...); got != nil {
		t.Errorf("all excluded, got %v", got.ID)
	}
}

func TestAnExcludedInstanceIsKnownAcrossViews(t *testing.T) {
	table := NewInstanceTable()
	before := table.Resolve("s", readySpecs(2), instanceTime)
	changed := readySpecs(2)
	changed[0].Tags = []string{"new"}
	p := NewPool(Target{Service: "s"}, table.Resolve("s", changed, instanceTime))
	if picks(p, instanceTime, 100, before[0])[p.Instances[1]] != 100 {
		t.Error("the failed instance is tried again under the new view")
	}
}

func statusPool(statuses ...InstanceStatus) *Pool {
	specs := readySpecs(len(statuses))
	for i, s := range statuses {
		specs[i].Status = s
	}
	return NewPool(Target{Service: "s"}, NewInstanceTable().Resolve("s", specs, instanceTime))
}

func TestDistrustedOnlyWhenNoReadyOneIsLeft(t *testing.T) {
	p := statusPool(InstanceDistrusted, InstanceReady, InstanceCritical)
	if picks(p, instanceTime, 200)[p.Instances[1]] != 200 {
		t.Error("something else than the ready one")
	}
	if got := p.Pick(1, instanceTime, p.Instances[1]); got != nil {
		t.Errorf("%s although a ready one exists", got.Status)
	}
	p = statusPool(InstanceDistrusted, InstanceCritical)
	if picks(p, instanceTime, 200)[p.Instances[0]] != 200 {
		t.Error("not the distrusted one, or the critical one")
	}
	if p.Usable(instanceTime) != 0 {
		t.Error("a distrusted instance is reported as ready")
	}
}

func TestNothingToPick(t *testing.T) {
	var none *Pool
	for _, p := range []*Pool{none, NewPool(Target{}, nil), statusPool(InstanceCritical)} {
		if p.Pick(1, instanceTime) != nil || p.Usable(instanceTime) != 0 || p.Load(instanceTime) != (Load{}) {
			t.Errorf("%+v gives something", p)
		}
		p.Explain(instanceTime, &Trace{})
	}
}

func TestLoadCountsWhatIsReadyAndInFlight(t *testing.T) {
	p := statusPool(InstanceReady, InstanceReady, InstanceCritical)
	p.Instances[0].Begin()
	p.Instances[2].Begin()
	if got := p.Load(instanceTime); got != (Load{Ready: 2, InFlight: 2}) {
		t.Errorf("%+v", got)
	}
}

func TestPickIsAlwaysAMemberThatMayServe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statuses := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 2), func(i int) InstanceStatus { return InstanceStatus(i) }), 0, 6)
		p := statusPool(statuses.Draw(t, "statuses")...)
		now := instanceTime
		for _, i := range p.Instances {
			for range rapid.IntRange(0, 12).Draw(t, "failures") {
				i.Begin()
				i.End(now, time.Millisecond, OutcomeFailed)
			}
		}
		now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "later")) * time.Second)
		got := p.Pick(rapid.Uint64().Draw(t, "rng"), now)
		if (got == nil) != (len(p.ready)+len(p.distrusted) == 0) {
			t.Fatalf("picked %v of %d ready, %d distrusted", got, len(p.ready), len(p.distrusted))
		}
		if got != nil && (got.Status == InstanceCritical || got.Status == InstanceDistrusted && len(p.ready) > 0) {
			t.Fatalf("picked a %s one", got.Status)
		}
		if got != nil && len(p.ready) > 0 && got.Ejected(now) {
			t.Fatal("picked an ejected one while others are in")
		}
	})
}

func TestExplainSaysWhyAnInstanceIsOut(t *testing.T) {
	p := statusPool(InstanceReady, InstanceReady, InstanceCritical, InstanceDistrusted)
	failures(p.Instances[0], instanceTime, 5)
	tr := &Trace{}
	p.Explain(instanceTime, tr)
	want := []struct {
		taken  bool
		reason string
	}{{false, "ejected"}, {true, "in flight"}, {false, "critical"}, {false, "gone from the catalog"}}
	for n, w := range want {
		if s := tr.Steps[n]; s.Taken != w.taken || !strings.Contains(s.Reason, w.reason) {
			t.Errorf("%+v, want %+v", s, w)
		}
	}
	tr = &Trace{}
	p.Explain(instanceTime.Add(15*time.Second), tr)
	if !strings.Contains(tr.Steps[0].Reason, "slow start at 50%") {
		t.Errorf("%+v", tr.Steps[0])
	}
}

func TestChoosingAndLearningAtOnce(t *testing.T) {
	table := NewInstanceTable()
	p := NewPool(Target{Service: "s"}, table.Resolve("s", readySpecs(4), instanceTime))
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			now := instanceTime
			for n := range 500 {
				i := p.Pick(uint64(n*7+worker), now)
				i.Begin()
				now = now.Add(time.Millisecond)
				i.End(now, time.Millisecond, Outcome(n%4))
				table.Resolve("s", readySpecs(4-n%2), now)
			}
		})
	}
	all.Wait()
	if load := p.Load(instanceTime); load.InFlight != 0 {
		t.Errorf("%d in flight at the end", load.InFlight)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	p := readyPool(10)
	failed := p.Instances[3]
	if n := testing.AllocsPerRun(100, func() { p.Pick(12345, instanceTime, failed) }); n != 0 {
		t.Errorf("%v allocations a pick", n)
	}
}

func BenchmarkPick(b *testing.B) {
	p, rng := readyPool(10), rand.New(rand.NewPCG(1, 2))
	for _, i := range p.Instances {
		i.Begin()
		i.End(instanceTime, time.Millisecond, OutcomeOK)
	}
	now := instanceTime.Add(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		p.Pick(rng.Uint64(), now)
	}
}

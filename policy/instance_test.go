package policy

import (
	"fmt"
	"testing"
	"time"
)

var instanceTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func readySpecs(n int) []InstanceSpec {
	specs := make([]InstanceSpec, n)
	for i := range specs {
		specs[i] = InstanceSpec{ID: fmt.Sprint("i", i), Address: fmt.Sprint("10.0.0.", i, ":80")}
	}
	return specs
}

func readyPool(n int) *Pool {
	return NewPool(Target{Service: "s"}, NewInstanceTable().Resolve("s", readySpecs(n), instanceTime))
}

func TestAnInstanceKeepsItsLoadAcrossCatalogUpdates(t *testing.T) {
	table := NewInstanceTable()
	before := table.Resolve("s", readySpecs(2), instanceTime)
	before[0].Begin()
	if again := table.Resolve("s", readySpecs(2), instanceTime); again[0] != before[0] || again[1] != before[1] {
		t.Error("an unchanged instance is another object")
	}
	changed := readySpecs(2)
	changed[0].Tags = []string{"canary"}
	after := table.Resolve("s", changed, instanceTime)
	if after[0].InFlight() != 1 || after[0].Tags[0] != "canary" || len(before[0].Tags) != 0 {
		t.Errorf("retagged: in flight %d, tags %v, the old one's %v", after[0].InFlight(), after[0].Tags, before[0].Tags)
	}
	before[0].End(instanceTime, time.Millisecond, OutcomeOK) // by a request that holds the old view
	if after[0].InFlight() != 0 {
		t.Error("the end of an old request is not seen")
	}
}

func TestAnotherAddressIsAnotherInstance(t *testing.T) {
	table := NewInstanceTable()
	before := table.Resolve("s", readySpecs(1), instanceTime)
	before[0].Begin()
	moved := readySpecs(1)
	moved[0].Address = "10.9.9.9:80"
	if after := table.Resolve("s", moved, instanceTime); after[0].InFlight() != 0 {
		t.Error("a moved instance inherits load")
	}
}

func TestGoneInstancesAreForgotten(t *testing.T) {
	table := NewInstanceTable()
	first := table.Resolve("s", readySpecs(2), instanceTime)
	table.Resolve("s", readySpecs(1), instanceTime)
	if back := table.Resolve("s", readySpecs(2), instanceTime); back[1] == first[1] || back[0] != first[0] {
		t.Error("a gone instance is remembered, or a present one is not")
	}
	table.Resolve("s", nil, instanceTime)
	if len(table.services) != 0 {
		t.Error("a service without instances is remembered")
	}
}

func TestANewInstanceStartsSlowlyBesideOthers(t *testing.T) {
	table := NewInstanceTable()
	pool := func(n int, now time.Time) *Pool {
		return NewPool(Target{Service: "s"}, table.Resolve("s", readySpecs(n), now))
	}
	if n := picks(pool(1, instanceTime), instanceTime, 100); len(n) != 1 {
		t.Fatal("the only one is spared")
	}
	now := instanceTime.Add(time.Minute)
	p := pool(2, now)
	last := 0
	for _, c := range []struct{ after, atLeast, atMost int }{{0, 200, 2000}, {5, 2000, 4000}, {10, 4500, 5500}} {
		n := picks(p, now.Add(time.Duration(c.after)*time.Second), 10_000)[p.Instances[1]]
		if n < c.atLeast || n > c.atMost || n <= last {
			t.Errorf("after %d s it gets %d of 10000", c.after, n)
		}
		last = n
	}
	again := pool(2, now.Add(time.Second))
	if again.Instances[1].health.share(again.Instances[1].health.service.since(now.Add(5*time.Second))) >= 1 {
		t.Error("another word of the catalog ends the slow start")
	}
}

func TestInstancesThatAreAllNewOrAloneDoNotStartSlowly(t *testing.T) {
	table := NewInstanceTable()
	all := table.Resolve("s", readySpecs(3), instanceTime)
	critical := readySpecs(3)
	for n := range critical {
		critical[n].Status = InstanceCritical
	}
	table.Resolve("s", critical, instanceTime.Add(time.Minute))
	back := table.Resolve("s", readySpecs(3), instanceTime.Add(2*time.Minute))
	for n := range all {
		for _, i := range []*Instance{all[n], back[n]} {
			if got := i.health.share(i.health.service.since(instanceTime.Add(2 * time.Minute))); got != 1 {
				t.Errorf("%s has a share of %v", i.ID, got)
			}
		}
	}
}

func TestSlowStartCanBeSet(t *testing.T) {
	for slow, want := range map[time.Duration]float32{time.Second: 1, 4 * time.Second: 0.5, -1: 1} {
		table := NewInstanceTable()
		table.SlowStart = slow
		table.Resolve("s", readySpecs(1), instanceTime)
		now := instanceTime.Add(time.Minute)
		i := table.Resolve("s", readySpecs(2), now)[1]
		if got := i.health.share(i.health.service.since(now.Add(2 * time.Second))); got != want {
			t.Errorf("slow start of %v: %v after 2 s, want %v", slow, got, want)
		}
	}
}

func TestLatencyFollowsWhatIsMeasured(t *testing.T) {
	i := readyPool(1).Instances[0]
	now := instanceTime
	send := func(n int, took time.Duration, outcome Outcome) {
		for range n {
			now = now.Add(10 * time.Millisecond)
			i.Begin()
			i.End(now, took, outcome)
		}
	}
	send(1, 10*time.Millisecond, OutcomeOK)
	if got := i.Latency(); got != 10*time.Millisecond {
		t.Errorf("after one sample %v", got)
	}
	send(500, 40*time.Millisecond, OutcomeOK)
	if got := i.Latency(); got < 39*time.Millisecond || got > 40*time.Millisecond {
		t.Errorf("after five seconds of 40 ms %v", got)
	}
	send(50, time.Hour, OutcomeAbandoned)
	if got := i.Latency(); got > 40*time.Millisecond {
		t.Errorf("abandoned requests count: %v", got)
	}
	send(50, time.Millisecond, OutcomeFailed)
	if got := i.Latency(); got < 45*time.Millisecond {
		t.Errorf("failing fast looks fast: %v", got)
	}
	send(2000, time.Millisecond, OutcomeRefused)
	if got := i.Latency(); got > failurePenalty {
		t.Errorf("refusals alone lift it to %v", got)
	}
	send(2000, time.Hour, OutcomeFailed)
	if got := i.Latency(); got > latencyCeiling {
		t.Errorf("beyond the ceiling: %v", got)
	}
}

func TestAnInstanceThatOnlyFailedIsNotTheFastest(t *testing.T) {
	p := readyPool(2)
	failures(p.Instances[0], instanceTime, 4)
	successes(p.Instances[1], instanceTime, 4)
	p.Instances[0].Begin()
	if picks(p, instanceTime, 100)[p.Instances[1]] != 100 {
		t.Error("failing fast attracts requests")
	}
}

func TestFailingFastDoesNotMakeTheSlowFaster(t *testing.T) {
	i := readyPool(2).Instances[0]
	i.Begin()
	i.End(instanceTime, 5*time.Second, OutcomeOK)
	failures(i, instanceTime.Add(time.Second), 4)
	if got := i.Latency(); got < 5*time.Second {
		t.Errorf("four fast failures make five seconds %v", got)
	}
}

func TestLatencyOutlivesTheWrapOfItsStamp(t *testing.T) {
	var l latencyAverage
	wrap := int64(1<<32) * int64(time.Millisecond)
	l.learn(wrap-int64(time.Millisecond), 100*time.Millisecond, true)
	if _, updated := l.load(); updated.until(wrap+int64(time.Second)) != 1001*time.Millisecond {
		t.Errorf("age over the wrap: %v", updated.until(wrap+int64(time.Second)))
	}
}

func TestBeginAndEndDoNotAllocate(t *testing.T) {
	i, now := readyPool(2).Instances[0], instanceTime
	for _, outcome := range []Outcome{OutcomeOK, OutcomeFailed, OutcomeRefused, OutcomeAbandoned} {
		n := testing.AllocsPerRun(100, func() {
			i.Begin()
			now = now.Add(time.Millisecond)
			i.End(now, time.Millisecond, outcome)
		})
		if n != 0 {
			t.Errorf("outcome %d: %v allocations", outcome, n)
		}
	}
}

func BenchmarkBeginEnd(b *testing.B) {
	i, now := readyPool(2).Instances[0], instanceTime
	b.ReportAllocs()
	for b.Loop() {
		i.Begin()
		now = now.Add(100 * time.Microsecond)
		i.End(now, time.Millisecond, OutcomeOK)
	}
}

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

package policy

import (
	"testing"
	"time"
)

func failures(i *Instance, now time.Time, n int) {
	for range n {
		i.Begin()
		i.End(now, time.Millisecond, OutcomeFailed)
	}
}

func successes(i *Instance, now time.Time, n int) {
	for range n {
		i.Begin()
		i.End(now, time.Millisecond, OutcomeOK)
	}
}

func TestFiveFailuresInARowEject(t *testing.T) {
	p := readyPool(3)
	i := p.Instances[0]
	failures(i, instanceTime, 4)
	successes(i, instanceTime, 1)
	failures(i, instanceTime, 4)
	if i.Ejected(instanceTime) {
		t.Fatal("ejected before the fifth in a row")
	}
	failures(i, instanceTime, 1)
	if !i.Ejected(instanceTime) || p.Usable(instanceTime) != 2 {
		t.Fatal("not ejected after the fifth")
	}
	if picks(p, instanceTime, 500)[i] != 0 {
		t.Error("picked while ejected")
	}
	if i.Ejected(instanceTime.Add(ejectBase)) || p.Usable(instanceTime.Add(ejectBase)) != 3 {
		t.Error("still out after ten seconds")
	}
}

func TestOverloadAnswersAndAbandonedRequestsDoNotEject(t *testing.T) {
	i := readyPool(3).Instances[0]
	for n := range 100 {
		i.Begin()
		i.End(instanceTime, time.Millisecond, []Outcome{OutcomeRefused, OutcomeAbandoned}[n%2])
	}
	if i.Ejected(instanceTime) {
		t.Error("ejected")
	}
}

func TestTheLastInstanceIsNeverEjected(t *testing.T) {
	alone := readyPool(1)
	failures(alone.Instances[0], instanceTime, 50)
	if alone.Instances[0].Ejected(instanceTime) || alone.Pick(1, instanceTime) == nil {
		t.Error("the only one is out")
	}
	pair := readyPool(2)
	failures(pair.Instances[0], instanceTime, 50)
	failures(pair.Instances[1], instanceTime, 50)
	if !pair.Instances[0].Ejected(instanceTime) || pair.Instances[1].Ejected(instanceTime) {
		t.Error("of two, exactly the first must be out")
	}
}

func TestAtMostATenthIsEjected(t *testing.T) {
	for size, most := range map[int]int{2: 1, 9: 1, 10: 1, 19: 1, 20: 2, 45: 4} {
		p := readyPool(size)
		out := 0
		for _, i := range p.Instances {
			failures(i, instanceTime, 20)
			if i.Ejected(instanceTime) {
				out++
			}
		}
		if out != most {
			t.Errorf("%d of %d are out, want %d", out, size, most)
		}
	}
}

func TestCriticalInstancesDoNotMakeTheLastOneEjectable(t *testing.T) {
	p := statusPool(InstanceReady, InstanceCritical, InstanceDistrusted)
	failures(p.Instances[0], instanceTime, 20)
	if p.Instances[0].Ejected(instanceTime) {
		t.Error("the only ready one is out")
	}
}

func TestEveryEjectionLastsTwiceAsLongUpToFiveMinutes(t *testing.T) {
	i, now := readyPool(2).Instances[0], instanceTime
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		failures(i, now, 5)
		if got := i.health.backIn(now); got != want*time.Second {
			t.Fatalf("out for %v, want %vs", got, int(want))
		}
		now = now.Add(want * time.Second)
	}
}

func TestGoodConductIsForgiven(t *testing.T) {
	i, now := readyPool(2).Instances[0], instanceTime
	failures(i, now, 5)
	now = now.Add(10 * time.Second)
	failures(i, now, 5) // strike two: 20 s
	now = now.Add(20*time.Second + 20*time.Second)
	failures(i, now, 5)
	if got := i.health.backIn(now); got != 10*time.Second {
		t.Errorf("after 20 s of good conduct out for %v", got)
	}
}

func TestTheUnreliableIsEjectedOnlyWhenOthersAreNot(t *testing.T) {
	flaky := func(i *Instance, n int) {
		for range n {
			failures(i, instanceTime, 2)
			successes(i, instanceTime, 1)
		}
	}
	p := readyPool(3)
	successes(p.Instances[1], instanceTime, 20)
	successes(p.Instances[2], instanceTime, 20)
	flaky(p.Instances[0], 6)
	if p.Instances[0].Ejected(instanceTime) {
		t.Error("ejected on fewer than twenty requests")
	}
	flaky(p.Instances[0], 4)
	if !p.Instances[0].Ejected(instanceTime) {
		t.Error("two thirds of thirty failed, the others never, and it is in")
	}
	p = readyPool(3)
	for range 20 {
		for _, i := range p.Instances {
			flaky(i, 1)
		}
	}
	if p.Usable(instanceTime) != 3 {
		t.Error("one is ejected although all fail alike")
	}
}

func TestOldFailuresDoNotCount(t *testing.T) {
	i, now := readyPool(2).Instances[0], instanceTime
	for range 30 { // the same within one window ejects, see above
		failures(i, now, 2)
		successes(i, now, 1)
		now = now.Add(rateWindow / 5)
	}
	if i.Ejected(now) {
		t.Error("ejected on fifteen requests a window")
	}
}

func TestReturnIsGradual(t *testing.T) {
	p := readyPool(2)
	i := p.Instances[0]
	failures(i, instanceTime, 5)
	back := instanceTime.Add(ejectBase)
	shares := []int{}
	for _, after := range []time.Duration{0, 5 * time.Second, 10 * time.Second} {
		shares = append(shares, picks(p, back.Add(after), 10_000)[i])
	}
	for n, want := range []int{500, 2500, 5000} { // half of 10%, 50%, 100%
		if shares[n] < want*8/10 || shares[n] > want*12/10 {
			t.Errorf("shares %v, want about 500 2500 5000", shares)
		}
	}
}

func TestASlowStartComesBeforeAnEjection(t *testing.T) {
	p := readyPool(2)
	failures(p.Instances[0], instanceTime, 5)
	back := instanceTime.Add(ejectBase)
	failures(p.Instances[1], back, 5)
	if picks(p, back, 500)[p.Instances[0]] != 500 {
		t.Error("an ejected one is drawn although one in its slow start is left")
	}
}

func TestRecoveryInTheCatalogIsGradualToo(t *testing.T) {
	table, specs := NewInstanceTable(), readySpecs(2)
	specs[0].Status = InstanceCritical
	table.Resolve("s", specs, instanceTime)
	specs[0].Status = InstanceReady
	now := instanceTime.Add(time.Minute)
	p := NewPool(Target{Service: "s"}, table.Resolve("s", specs, now))
	if n := picks(p, now, 10_000)[p.Instances[0]]; n > 700 {
		t.Errorf("a recovered instance gets %d of 10000 at once", n)
	}
	if n := picks(p, now.Add(DefaultSlowStart), 10_000)[p.Instances[0]]; n < 4500 {
		t.Errorf("and %d after its slow start", n)
	}
}

func TestAPoolOfOnlyEjectedStillServes(t *testing.T) {
	table := NewInstanceTable()
	all := table.Resolve("s", readySpecs(3), instanceTime)
	subset := NewPool(Target{Service: "s", Subset: "canary"}, all[:1])
	failures(all[0], instanceTime, 5)
	if !all[0].Ejected(instanceTime) {
		t.Fatal("the premise: ejected from the service")
	}
	if subset.Pick(1, instanceTime) != all[0] || subset.Usable(instanceTime) != 1 {
		t.Error("its subset refuses what it could serve")
	}
}

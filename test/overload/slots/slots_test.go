package slots

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestCapacityIsSlotsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(8, 10*time.Millisecond, 1)
		var last <-chan struct{}
		began := time.Now()
		for range 800 {
			last = s.Do(time.Time{}, "")
		}
		<-last
		if took := time.Since(began); took != time.Second {
			t.Errorf("800 requests took %s", took)
		}
	})
}

func TestSlotsChangeWhileItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(4, 10*time.Millisecond, 1)
		began := time.Now()
		s.SetSlots(2)
		var last <-chan struct{}
		for range 20 {
			last = s.Do(time.Time{}, "")
		}
		<-last
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("20 requests by 2 slots took %s", took)
		}
		s.SetSlots(0)
		held := s.Do(time.Time{}, "")
		synctest.Wait()
		s.SetSlots(1)
		<-held
	})
}

func TestWorkAfterTheDeadlineIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1, 10*time.Millisecond, 1)
		deadline := time.Now().Add(15 * time.Millisecond)
		s.Do(deadline, "a")               // 0–10: in time
		s.Do(deadline, "b")               // 10–20: late half of its time
		last := s.Do(deadline, "b")       // 20–30: all late
		free := s.Do(time.Time{}, "free") // no deadline
		<-last
		<-free
		got := s.Stats()
		if got.Worked != 4 || got.Expired != 1 || got.ExpiredTime != 15*time.Millisecond || got.SlotTime != 40*time.Millisecond {
			t.Errorf("%+v", got)
		}
		if got.Distinct != 3 || got.LongestWait != 30*time.Millisecond {
			t.Errorf("%+v", got)
		}
	})
}

func TestQueueIsBoundedAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1, 10*time.Millisecond, 1)
		var waiting <-chan struct{}
		for range queueBound + 1 {
			waiting = s.Do(time.Time{}, "")
		}
		if s.Do(time.Time{}, "") != nil {
			t.Error("the queue has no bound")
		}
		s.Reset()
		<-waiting
		if got := s.Stats(); got.Queued != 0 || got.Refused != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestLognormalTimesKeepTheMean(t *testing.T) {
	s := New(1, 10*time.Millisecond, 1)
	s.SetSigma(0.6)
	var sum, squares float64
	const n = 200000
	for range n {
		ms := s.hold().Seconds() * 1000
		sum += ms
		squares += math.Log(ms) * math.Log(ms)
	}
	if mean := sum / n; math.Abs(mean-10) > 0.1 {
		t.Errorf("mean %g ms", mean)
	}
	mu := math.Log(10) - 0.18
	if variance := squares/n - mu*mu; math.Abs(variance-0.36) > 0.02 {
		t.Errorf("variance of the logarithm %g", variance)
	}
}

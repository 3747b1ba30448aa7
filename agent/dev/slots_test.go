package dev

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlotsServeAtTheirRateFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &Instance{slots: slots{limit: 2}}
		i.SetLatency(10 * time.Millisecond)
		began := time.Now()
		var mu sync.Mutex
		var done []time.Duration
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if i.occupy(t.Context()) {
					mu.Lock()
					done = append(done, time.Since(began))
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		all.Wait()
		for n, at := range done {
			if want := time.Duration(n/2+1) * 10 * time.Millisecond; at != want {
				t.Errorf("the %d. was answered after %s, want %s", n+1, at, want)
			}
		}
		if len(done) != 10 {
			t.Errorf("%d of 10 answered", len(done))
		}
	})
}

// A slot given back late passes on from when it was over.
func TestLateTimersDoNotShrinkCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slots{limit: 1}
		first, _ := s.take(t.Context())
		second := make(chan time.Time)
		go func() { began, _ := s.take(t.Context()); second <- began }()
		synctest.Wait()
		time.Sleep(15 * time.Millisecond) // virtual: the timer of 10 ms fired 5 ms late
		s.give(first.Add(10 * time.Millisecond))
		if began := <-second; began != first.Add(10*time.Millisecond) {
			t.Errorf("the second began %s after the first, want 10ms", began.Sub(first))
		}
	})
}

func TestWhoLeavesTheQueueTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slots{limit: 1}
		if _, ok := s.take(t.Context()); !ok {
			t.Fatal("no slot")
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan bool)
		go func() { _, ok := s.take(ctx); left <- ok }()
		synctest.Wait()
		cancel()
		if <-left {
			t.Error("who left was served")
		}
		s.give(time.Now())
		if _, ok := s.take(t.Context()); !ok || s.busy != 1 || len(s.queue) != 0 {
			t.Errorf("%d busy, %d wait", s.busy, len(s.queue))
		}
	})
}

func TestFullQueueRefuses(t *testing.T) {
	s := &slots{queue: make([]*waiting, maxQueue)}
	if _, ok := s.take(t.Context()); ok {
		t.Error("taken")
	}
}

func TestCapacityIsSpreadOverInstances(t *testing.T) {
	a, b := &Instance{capacity: 10}, &Instance{capacity: 10}
	for share, want := range map[float64][2]int{1: {10, 10}, 0.95: {9, 10}, 0.5: {5, 5}, 0.05: {0, 1}, 0: {0, 0}, 2: {20, 20}} {
		spread([]*Instance{a, b}, share)
		if a.slots.limit != want[0] || b.slots.limit != want[1] {
			t.Errorf("%g: %d and %d, want %v", share, a.slots.limit, b.slots.limit, want)
		}
	}
}

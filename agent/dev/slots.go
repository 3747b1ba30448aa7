package dev

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxQueue bounds who waits for a slot; beyond it an instance refuses.
const maxQueue = 1000

// slots are the requests that an instance serves at a time, and a queue, first
// come first served, of those that wait for one. Whoever follows another in a
// slot begins when that one's time was over, not when its timer fired, so that
// the capacity does not shrink where timers are late on a busy machine.
type slots struct {
	mu    sync.Mutex // guards what follows
	limit int
	busy  int
	queue []*waiting
}

type waiting struct {
	since time.Time
	begin chan time.Time // told once, with room
}

// take waits for a slot and says when its time begins. It fails when the queue
// is full, or ctx ends first. Whoever has a slot gives it back.
func (s *slots) take(ctx context.Context) (began time.Time, ok bool) {
	now := time.Now()
	s.mu.Lock()
	if s.busy < s.limit { // then nobody waits
		s.busy++
		s.mu.Unlock()
		return now, true
	}
	if len(s.queue) >= maxQueue {
		s.mu.Unlock()
		return now, false
	}
	w := &waiting{since: now, begin: make(chan time.Time, 1)}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	select {
	case began = <-w.begin:
		return began, true
	case <-ctx.Done():
		s.leave(w)
		return now, false
	}
}

// leave takes a waiter out of the queue, or gives back what it was just given.
func (s *slots) leave(w *waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := slices.Index(s.queue, w); n >= 0 {
		s.queue = slices.Delete(s.queue, n, n+1)
		return
	}
	s.busy--
	s.fill(time.Now())
}

// give returns a slot whose time was over at end.
func (s *slots) give(end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.fill(end)
}

// fill hands what is free to the first in the queue, from a time on. The
// caller holds mu.
func (s *slots) fill(from time.Time) {
	for s.busy < s.limit && len(s.queue) > 0 {
		w := s.queue[0]
		s.queue = s.queue[1:]
		s.busy++
		if w.since.After(from) {
			w.begin <- w.since
		} else {
			w.begin <- from
		}
	}
}

// resize changes how many there are; who has one keeps it.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.fill(time.Now())
}

//go:build linux

package lab

import (
	"sync"
	"time"
)

// stalls are the moments when this process did not get to run: what was measured
// then says little of the mesh.
type stalls struct {
	end  chan struct{}
	done sync.WaitGroup

	mu  sync.Mutex // guards all
	all []stall
}

type stall struct {
	at   time.Time
	took time.Duration
}

const (
	stallTick   = 10 * time.Millisecond
	mostStalled = 300 * time.Millisecond
)

func watchStalls() *stalls {
	s := &stalls{end: make(chan struct{})}
	s.done.Go(s.watch)
	return s
}

func (s *stalls) watch() {
	ticker := time.NewTicker(stallTick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-s.end:
			return
		case <-ticker.C:
		}
		now := time.Now()
		if gap := now.Sub(last) - stallTick; gap > mostStalled/3 {
			s.mu.Lock()
			s.all = append(s.all, stall{now, gap})
			s.mu.Unlock()
		}
		last = now
	}
}

// longest stall of a time.
func (s *stalls) longest(from, until time.Time) (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.at.After(from) && one.at.Add(-one.took).Before(until) {
			longest = max(longest, one.took)
		}
	}
	return longest
}

func (s *stalls) stop() {
	close(s.end)
	s.done.Wait()
}

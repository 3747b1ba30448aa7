// Package slots is a service that holds one of so many slots for a time by
// timer and works off what waits first come, first served: its capacity depends
// on nothing else that happens on the machine.
package slots

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// queueBound is how many requests wait at most, as in a server with a bounded
// accept queue; those beyond are refused.
const queueBound = 1000

// Service is safe for concurrent use. It works on whatever it took, also when
// nobody waits for the answer any more, as servers with worker threads do.
type Service struct {
	mu    sync.Mutex // guards everything below
	rng   *rand.Rand
	slots int
	busy  int
	mean  time.Duration
	sigma float64
	queue []*job
	stats Stats
	ids   map[string]struct{}
}

// Stats count since the last Reset. SlotTime is what slots were held,
// ExpiredTime the part of it that was after the request's deadline.
type Stats struct {
	Slots       int           `json:"slots"`
	Busy        int           `json:"busy"`
	Queued      int           `json:"queued"`
	Worked      int64         `json:"worked"`
	Expired     int64         `json:"expired"` // begun when the deadline had passed
	Refused     int64         `json:"refused"` // the queue was full
	SlotTime    time.Duration `json:"slot_time"`
	ExpiredTime time.Duration `json:"expired_time"`
	LongestWait time.Duration `json:"longest_wait"` // in the queue, since the stats before
	Distinct    int           `json:"distinct"`     // requests by id that were worked on
}

type job struct {
	arrived  time.Time
	deadline time.Time // zero: none
	id       string
	done     chan struct{}
}

// New makes a service whose requests take mean; with sigma above 0 the time is
// lognormal with that mean.
func New(slots int, mean time.Duration, seed uint64) *Service {
	return &Service{slots: slots, mean: mean, rng: rand.New(rand.NewPCG(seed, 7)), ids: map[string]struct{}{}}
}

// Do takes a request and returns what is closed when its work is done; nil when
// the queue is full.
func (s *Service) Do(deadline time.Time, id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= queueBound {
		s.stats.Refused++
		return nil
	}
	now := time.Now()
	j := &job{arrived: now, deadline: deadline, id: id, done: make(chan struct{})}
	s.queue = append(s.queue, j)
	s.next(now)
	return j.done
}

// next fills the slots that were free at a moment. A slot whose timer fired
// late is taken up from the moment it should have fired, so that busy slots
// lose no time to the scheduler.
func (s *Service) next(free time.Time) {
	for s.busy < s.slots && len(s.queue) > 0 {
		j := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if j.arrived.After(free) {
			s.begin(j, j.arrived)
		} else {
			s.begin(j, free)
		}
	}
}

func (s *Service) begin(j *job, start time.Time) {
	end := start.Add(s.hold())
	s.busy++
	s.count(j, start, end)
	time.AfterFunc(time.Until(end), func() { s.finish(j, end) })
}

func (s *Service) finish(j *job, end time.Time) {
	close(j.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.next(end)
}

func (s *Service) count(j *job, start, end time.Time) {
	s.stats.Worked++
	s.stats.SlotTime += end.Sub(start)
	s.stats.LongestWait = max(s.stats.LongestWait, start.Sub(j.arrived))
	if j.id != "" {
		s.ids[j.id] = struct{}{}
	}
	if j.deadline.IsZero() || !end.After(j.deadline) {
		return
	}
	if start.After(j.deadline) {
		s.stats.Expired++
		s.stats.ExpiredTime += end.Sub(start)
	} else {
		s.stats.ExpiredTime += end.Sub(j.deadline)
	}
}

// hold draws how long a request takes. The mean of exp(N(µ, σ²)) is
// exp(µ + σ²/2).
func (s *Service) hold() time.Duration {
	if s.sigma == 0 {
		return s.mean
	}
	return time.Duration(float64(s.mean) * math.Exp(s.sigma*s.rng.NormFloat64()-s.sigma*s.sigma/2))
}

// SetSlots changes the capacity; what is being worked on is finished.
func (s *Service) SetSlots(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots = n
	s.next(time.Now())
}

// SetSigma changes the dispersion of the time a request takes; 0: none.
func (s *Service) SetSigma(sigma float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sigma = sigma
}

// Stats gives the counts so far.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.stats
	now.Slots, now.Busy, now.Queued, now.Distinct = s.slots, s.busy, len(s.queue), len(s.ids)
	s.stats.LongestWait = 0
	return now
}

// Reset forgets the counts and lets go of all that waits.
func (s *Service) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.queue {
		close(j.done)
	}
	s.queue, s.stats = nil, Stats{}
	clear(s.ids)
}

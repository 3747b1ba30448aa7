package policy

import (
	"slices"
	"sync"
	"time"
)

// Waiter is a request's place in the queue. Decided is called exactly once, by
// whoever frees a slot, displaces it or ticks, outside of any lock, unless
// Abandon returned true. It must not block. A Waiter serves one Enter and must
// not be used again while it waits.
type Waiter struct {
	Decided func(Admit)

	rank    Rank
	carries int  // messages
	entered Rank // the threshold it was found to reach
	since   time.Duration
	until   time.Duration
	waits   bool // in the queue; guarded by waitQueue.mu
	verdict Admit
	next    *Waiter // in a chain of decided ones
}

// waitQueue holds those who wait, lowest rank first, and of one rank the newest
// first: the best is the last.
type waitQueue struct {
	mu       sync.Mutex
	waiters  []*Waiter
	earliest time.Duration // no waiter's time ends before
	relief   int           // the length at which a raised threshold comes down
	dropped  int           // highest rank refused out of the queue since the last tick, -1: none
	longest  time.Duration // longest wait of one that was admitted, since the last tick
}

// decided is a chain of waiters whose verdict is known, to be told once no lock
// is held.
type decided struct{ first *Waiter }

func (d *decided) add(w *Waiter, verdict Admit) {
	w.verdict, w.next = verdict, d.first
	d.first = w
}

func (d *decided) tell() {
	for w := d.first; w != nil; {
		next := w.next
		w.next = nil
		w.Decided(w.verdict)
		w = next
	}
}

// wait puts a request into the queue, displacing the lowest rank when it is full.
func (a *Admission) wait(now time.Time, e *Entry, w *Waiter) Admit {
	at := a.at(now)
	var done decided
	a.queue.mu.Lock()
	a.dropExpired(at, &done)
	a.admitWaiting(at, &done)
	verdict := a.line(at, now, e, w, &done)
	a.admitWaiting(at, &done)
	a.queue.mu.Unlock()
	done.tell()
	return verdict
}

func (a *Admission) line(at time.Duration, now time.Time, e *Entry, w *Waiter, done *decided) Admit {
	q, rank, messages := &a.queue, e.Rank, e.messages()
	threshold := Rank(a.threshold.Load())
	if rank < threshold {
		return a.refuse(ShedOverload, threshold, messages)
	}
	if len(q.waiters) == 0 && a.take() {
		return Admit{Admitted, ShedNone, threshold}
	}
	if len(q.waiters) >= a.queueBound() {
		lowest := q.waiters[0]
		if lowest.rank >= rank {
			return a.dropRank(rank, messages, ShedQueueFull)
		}
		a.removeWaiter(0)
		done.add(lowest, a.dropRank(lowest.rank, lowest.carries, ShedDisplaced))
	}
	left := time.Duration(-1)
	if !e.Deadline.IsZero() {
		left = max(0, e.Deadline.Sub(now))
	}
	w.rank, w.carries, w.entered, w.since, w.until = rank, messages, threshold, at, at+a.patience(rank, left)
	a.insertWaiter(w)
	return Admit{Queued, ShedNone, threshold}
}

func (a *Admission) queueBound() int {
	const least = 64
	return min(a.config.QueueBound, max(least, 2*int(a.limit.Load())))
}

// patience is how long a request of a rank may wait when its deadline leaves so
// much; less than 0: it has none.
func (a *Admission) patience(rank Rank, left time.Duration) time.Duration {
	const critical = 250 * time.Millisecond
	usual := time.Duration(a.usual.Load())
	patience := max(a.config.LongestWait, min(time.Second, usual))
	if rank.Spilled() { // no other region will be asked
		patience *= 2
	}
	if rank.Class() == Critical && !rank.OverQuota() {
		patience = max(patience, critical, left/2)
	}
	if left >= 0 {
		patience = min(patience, max(0, left-usual))
	}
	return patience
}

// insertWaiter keeps the order: after all that rank lower, before its equals.
func (a *Admission) insertWaiter(w *Waiter) {
	q := &a.queue
	place, _ := slices.BinarySearchFunc(q.waiters, w.rank, func(o *Waiter, rank Rank) int { return int(o.rank) - int(rank) })
	if len(q.waiters) == 0 || w.until < q.earliest {
		q.earliest = w.until
	}
	q.waiters = slices.Insert(q.waiters, place, w)
	w.waits = true
	a.waiting.Store(int64(len(q.waiters)))
}

func (a *Admission) removeWaiter(place int) {
	q := &a.queue
	q.waiters[place].waits = false
	q.waiters = slices.Delete(q.waiters, place, place+1)
	a.waiting.Store(int64(len(q.waiters)))
}

// dropRank refuses a request that was willing to wait, and raises the threshold
// to where its class begins: until the queue is half as long no lower class shall
// get in where this one could not.
func (a *Admission) dropRank(rank Rank, messages int, reason ShedReason) Admit {
	q := &a.queue
	q.dropped = max(q.dropped, int(rank))
	if lowest := uint32(rank.lowestOfClass()); lowest > a.threshold.Load() {
		a.raised.Store(true)
		a.threshold.Store(lowest)
		q.relief = len(q.waiters) / 2
	}
	return a.refuse(reason, Rank(a.threshold.Load()), messages)
}

// rule puts the controller's threshold back in force.
func (a *Admission) rule() {
	a.raised.Store(false)
	a.threshold.Store(a.ruling.Load())
}

// serveQueue gives free slots to those who wait.
func (a *Admission) serveQueue(now time.Time) {
	at := a.at(now)
	var done decided
	a.queue.mu.Lock()
	a.dropExpired(at, &done)
	a.admitWaiting(at, &done)
	a.queue.mu.Unlock()
	done.tell()
}

// admitWaiting gives free slots to those who wait. One that ranks below a raised
// threshold gets none before that comes down.
func (a *Admission) admitWaiting(at time.Duration, done *decided) {
	if a.raised.Load() {
		a.admitFrom(Rank(a.threshold.Load()), at, done)
		if !a.relieved() {
			return
		}
		a.rule()
	}
	a.admitFrom(0, at, done)
}

// admitFrom gives free slots to those who wait and rank so high or higher. A
// ruling that changed while they waited does not count: they were let in.
func (a *Admission) admitFrom(lowest Rank, at time.Duration, done *decided) {
	q := &a.queue
	for q.best() >= int(lowest) && a.take() {
		best := q.waiters[len(q.waiters)-1]
		a.removeWaiter(len(q.waiters) - 1)
		q.longest = max(q.longest, at-best.since)
		done.add(best, Admit{Admitted, ShedNone, best.entered})
	}
}

// best is the highest rank that waits, -1: nobody does.
func (q *waitQueue) best() int {
	if len(q.waiters) == 0 {
		return -1
	}
	return int(q.waiters[len(q.waiters)-1].rank)
}

// relieved says that a raised threshold is no longer needed: few wait, or a slot
// is left over by those who rank above it.
func (a *Admission) relieved() bool {
	if a.queue.best() >= int(a.threshold.Load()) {
		return len(a.queue.waiters) <= a.queue.relief
	}
	return a.inFlight.Load() < a.limit.Load()
}

// dropExpired refuses those whose time is over.
func (a *Admission) dropExpired(at time.Duration, done *decided) {
	q := &a.queue
	if len(q.waiters) == 0 || at < q.earliest {
		return
	}
	q.earliest = at + time.Hour
	for i := len(q.waiters) - 1; i >= 0; i-- {
		w := q.waiters[i]
		if w.until > at {
			q.earliest = min(q.earliest, w.until)
			continue
		}
		a.removeWaiter(i)
		done.add(w, a.dropRank(w.rank, w.carries, ShedExpired))
	}
}

// Abandon takes a waiter out of the queue, because its client went away. True:
// Decided will never be called. False: it was or is being called, and if it says
// Admitted, Leave must follow.
func (a *Admission) Abandon(w *Waiter) bool {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	if !w.waits {
		return false
	}
	a.removeWaiter(slices.Index(a.queue.waiters, w))
	return true
}

// takeDrops returns what happened since it was last asked: the highest rank
// refused (-1: none), and the longest wait of one admitted.
func (q *waitQueue) takeDrops() (dropped int, longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped, longest = q.dropped, q.longest
	q.dropped, q.longest = -1, 0
	return dropped, longest
}

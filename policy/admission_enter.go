package policy

import "time"

// Enter asks for a slot. With a waiter the answer may be Queued: then w.Decided
// is called once, later or even before Enter returns, unless Abandon took w out.
// Without one (nil) the request does not wait: where no slot is free it is
// refused. An Admitted request must Leave.
func (a *Admission) Enter(now time.Time, e Entry, w *Waiter) Admit {
	e.Rank = e.Rank.bounded()
	judged := a.judge(now, &e)
	if judged.Verdict != Admitted || a.waiting.Load() == 0 && a.take() {
		return judged
	}
	if w == nil {
		return a.refuse(ShedQueueFull, judged.Threshold, e.messages())
	}
	return a.wait(now, &e, w)
}

// Judge says whether a message may gather with others that ask for one slot
// together (Entry.Judged): it is refused as Enter would refuse it, or Admitted
// without a slot. It must not Leave.
func (a *Admission) Judge(now time.Time, e Entry) Admit {
	e.Rank = e.Rank.bounded()
	return a.judge(now, &e)
}

func (a *Admission) judge(now time.Time, e *Entry) Admit {
	if !e.Judged {
		a.meter.arrived(e.Rank, e.messages(), a.inFlight.Load(), a.waiting.Load())
	}
	threshold := Rank(a.threshold.Load())
	if e.Rank < threshold {
		return a.refuse(ShedOverload, threshold, e.messages())
	}
	if floor := Rank(a.floor.Load()); floor > 0 && e.Rank.AsSpilled() < floor {
		return a.refuse(ShedOverload, max(threshold, e.Rank+1), e.messages())
	}
	if !e.Deadline.IsZero() && a.tooLate(now, e.Deadline) {
		return a.refuse(ShedDeadline, threshold, e.messages())
	}
	return Admit{Admitted, ShedNone, threshold}
}

func (a *Admission) refuse(reason ShedReason, threshold Rank, messages int) Admit {
	a.meter.shed.Add(uint64(messages))
	return Admit{Shed, reason, threshold}
}

// take takes a slot if one is free.
func (a *Admission) take() bool {
	for {
		taken := a.inFlight.Load()
		if taken >= a.limit.Load() {
			return false
		}
		if a.inFlight.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}

// tooLate says that the deadline leaves less than half of the usual latency.
// With nothing in flight only a deadline that is past does: else a latency
// learned long ago could refuse all for ever.
func (a *Admission) tooLate(now, deadline time.Time) bool {
	left := deadline.Sub(now)
	if left <= 0 {
		return true
	}
	return left < time.Duration(a.usual.Load())/2 && a.inFlight.Load() > 0
}

// Leave gives back the slot of an admitted request, once, and learns from how
// it went. It calls Decided of those who get a slot by it.
func (a *Admission) Leave(now time.Time, s Sample) {
	a.meter.left(a.at(now), s)
	a.inFlight.Add(-1)
	if a.waiting.Load() > 0 || a.raised.Load() {
		a.serveQueue(now)
	}
}

package agent

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// passage is an exchange's way past admission: the rank it asks with, until
// when, and the slot it holds.
type passage struct {
	gate     *gate
	rank     policy.Rank
	timeout  time.Duration // the route's, or what the device asked for when that is shorter
	deadline time.Time
	until    time.Time   // the device's own deadline; zero: none
	usage    *quotaUsage // nil: the service has no quota
	messages int         // that it carries; 0 counts as 1
	judged   bool        // they have been let in one by one, where it asks next

	held   atomic.Pointer[door] // whose slot it is; nil: none
	sample policy.Sample        // what giving it back will say
	late   sync.WaitGroup       // a body's grace that is just running out
	shed   bool                 // refused for capacity
}

type quotaUsage struct {
	quota *policy.Quota
	slot  policy.QuotaSlot
}

// queued is a request's place in a queue, used again and again.
type queued struct {
	waiter  policy.Waiter
	decided chan policy.Admit
	timer   *time.Timer
}

func newQueued() any {
	q := &queued{decided: make(chan policy.Admit, 1), timer: time.NewTimer(time.Hour)}
	q.timer.Stop()
	q.waiter.Decided = func(a policy.Admit) { q.decided <- a }
	return q
}

// prepare ranks the request and sets its deadline; false: it was refused.
func (x *exchange) prepare() bool {
	d := &x.decision
	x.gate = x.agent.admissions.gate(d.Target.String())
	x.gate.demand.Count(d.Route.Class)
	if !x.setDeadline() {
		return false
	}
	over := false
	if rule := d.Service.Quota; rule.Share > 0 {
		over = x.beginQuota(rule)
	}
	x.rank = policy.RankOf(d.Route.Class, x.cohort(), false, over)
	x.sample = policy.Sample{Outcome: policy.OutcomeAbandoned, Class: d.Route.Class}
	return true
}

// setDeadline takes the route's timeout, or less when the device says so.
func (x *exchange) setDeadline() bool {
	asked, fault := requestTimeout(x.r.Header)
	if fault != "" {
		x.agent.metrics.timeouts.WithLabelValues(string(fault)).Inc()
	}
	if fault == deadlinePast {
		x.refuseShed(policy.ShedDeadline.String(), "", 0)
		return false
	}
	x.timeout = x.decision.Timeout
	if asked > 0 {
		x.until, x.timeout = x.started.Add(asked), min(asked, x.timeout)
	}
	x.deadline = x.started.Add(x.timeout)
	return true
}

// extend gives back to the deadline what the device's own body took, but not
// past what the device asked for.
func (x *exchange) extend(took time.Duration) {
	x.deadline = x.deadline.Add(took)
	if !x.until.IsZero() && x.until.Before(x.deadline) {
		x.deadline = x.until
	}
}

// cohort is that of the device; where none is known, chance takes its place.
func (x *exchange) cohort() uint8 {
	if id := x.message.Device.ID; id != "" {
		return policy.Cohort(id, x.agent.conditions.At(x.started))
	}
	return uint8(rand.Uint32N(128))
}

func (x *exchange) beginQuota(rule policy.QuotaRule) (over bool) {
	u := &quotaUsage{quota: x.gate.quotaOf(rule)}
	limit := x.gate.local.Stats().Limit
	if batch := x.batching(); batch != nil { // a slot takes in so many
		limit *= batch.Messages
	}
	over, u.slot = u.quota.Begin(rule.Tenant(&x.message.Device), limit)
	x.usage = u
	return over
}

// enter asks for a slot; the request waits for it only when told to.
func (x *exchange) enter(d *door, wait bool) policy.Admit {
	entry := policy.Entry{Rank: x.rank, Deadline: x.deadline, Messages: x.messages, Judged: x.judged}
	x.judged = false
	if !wait {
		return x.hold(d, d.Enter(time.Now(), entry, nil))
	}
	queues := &x.agent.admissions.queues
	q := queues.Get().(*queued)
	admit := d.Enter(time.Now(), entry, &q.waiter)
	if admit.Verdict == policy.Queued {
		admit = x.await(d, q)
	}
	queues.Put(q)
	x.hold(d, admit)
	if x.r.Context().Err() != nil {
		x.abandon()
	}
	return admit
}

func (x *exchange) hold(d *door, admit policy.Admit) policy.Admit {
	if admit.Verdict == policy.Admitted {
		x.held.Store(d)
	}
	return admit
}

// await ends when the queue decides, the client leaves, or the deadline passes.
func (x *exchange) await(d *door, q *queued) policy.Admit {
	q.timer.Reset(time.Until(x.deadline))
	defer q.timer.Stop()
	select {
	case admit := <-q.decided:
		return admit
	case <-x.r.Context().Done():
	case <-q.timer.C:
	}
	if d.Abandon(&q.waiter) {
		return policy.Admit{Verdict: policy.Shed, Reason: policy.ShedExpired}
	}
	return <-q.decided
}

// leave gives back the slot that is held, if any: at the end of every exchange,
// and before another region is asked.
func (x *exchange) leave() {
	if d := x.held.Swap(nil); d != nil {
		d.Leave(time.Now(), x.sample)
	}
}

// depart gives back all that prepare and enter took.
func (x *exchange) depart() {
	x.leave()
	if u := x.usage; u != nil {
		u.quota.End(u.slot)
	}
}

// learned notes how the service answered, for when the slot is given back. A
// body that streams lasts as long as its device likes, which says nothing of the
// service.
func (x *exchange) learned(ans *answer) {
	if x.body.stream == nil {
		x.sample.Latency, x.sample.Outcome = ans.latency, answerOutcome(ans.status)
	}
}

// gaveUp notes how long the service was waited for in vain, by a device or as
// long as it may take.
func (x *exchange) gaveUp(ctx context.Context, f *failure) {
	if x.body.stream == nil && (ctx.Err() != nil || f.reason == reasonTimeout) {
		x.sample.Latency = f.waited
	}
}

// bodyGrace is how long a slot is held for a body that is read ahead, so that
// slow devices cannot take all the slots there are.
const bodyGrace = 50 * time.Millisecond

// readAdmitted reads the body once it is decided that the request is let
// through. Who is slow at it has to ask again.
func (x *exchange) readAdmitted() (ok bool, admit policy.Admit) {
	if x.body != nil || !readsAhead(x.r) {
		return x.readBody(), admit
	}
	d, began := x.held.Load(), time.Now()
	x.late.Add(1)
	grace := time.AfterFunc(bodyGrace, func() {
		x.leave()
		x.late.Done()
	})
	ok = x.readWithin(grace)
	x.extend(time.Since(began))
	if ok && x.held.Load() == nil {
		admit = x.enter(d, true)
	}
	return ok, admit
}

// readWithin returns once the grace is over or will not end, also by panic.
func (x *exchange) readWithin(grace *time.Timer) bool {
	defer func() {
		if grace.Stop() {
			x.late.Done()
		}
		x.late.Wait()
	}()
	return x.readBody()
}

// refuseShed answers what is refused for capacity. The edge sees to the body
// that nobody reads, so that the connection stays in use.
func (x *exchange) refuseShed(reason, cause string, retryMS int64) {
	x.status, x.reason, x.shed, x.region = http.StatusServiceUnavailable, reason, true, ""
	class := x.decision.Route.Class
	x.gate.shed.count(x.agent.metrics.shed, x.gate.target, class, reason, cause)
	if retryMS <= 0 {
		retryMS = retryAfter(0)
	}
	writeProblem(x.w, problem{Status: x.status, Reason: reason, Class: class.String(), RetryAfterMS: retryMS})
}

// turnAway refuses at a door: the region whose spill is to blame, or which had
// no room, is the cause.
func (x *exchange) turnAway(d *door, admit policy.Admit) {
	cause, retryMS := d.blame()
	x.refuseShed(admit.Reason.String(), cause, retryMS)
}

func (d *door) blame() (cause string, retryMS int64) {
	s := d.Stats()
	if cause = d.region; cause == "" {
		cause = s.Cause
	}
	return cause, retryAfter(s.Rejecting)
}

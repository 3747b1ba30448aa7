package agent

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/policy"
)

// answer is what an attempt brought back: an instance's response, from here or
// through a tunnel.
type answer struct {
	status  int
	header  http.Header
	length  int64 // -1: unknown
	body    io.ReadCloser
	latency time.Duration      // from sending to the head
	local   *upstream.Response // whose body it is; nil through a tunnel
	trailer func() http.Header
	done    func(policy.Outcome) // told once, when the body ended
}

// failure is an attempt that brought no answer.
type failure struct {
	err      error
	reason   string
	notSent  bool // the request was surely not processed
	rerouted bool // the place is gone or declined: going elsewhere is no retry
	leaves   bool // nothing more can be had in this region
	shed     bool // refused for capacity: final
	cause    string
	retryMS  int64 // with shed: when to come back
	waited   time.Duration
}

// forward sends the message along its plan until somebody answers.
func (x *exchange) forward() {
	d := &x.decision
	plan := x.awaitWay()
	if len(plan.Legs) == 0 {
		x.refuse(http.StatusServiceUnavailable, reasonNoRegion, "no region can serve "+d.Target.String())
		return
	}
	defer x.depart()
	if !x.prepare() || x.spoiltByRoute() {
		return
	}
	j := journey{exchange: x, order: plan.Order(rand.Uint64())}
	if x.batching() == nil || !j.gather() {
		j.run()
	}
}

// batching is how the message gathers with others; nil: it does not.
func (x *exchange) batching() *policy.Batch {
	if x.pub == nil {
		return nil
	}
	return x.decision.Route.Batch
}

// run sends one message, and passes its answer on.
func (j *journey) run() {
	x, d := j.exchange, &j.decision
	if d, admit := j.admit(x.enter); admit.Verdict != policy.Admitted {
		x.turnAway(d, admit)
		return
	}
	ok, again := x.readAdmitted()
	if !ok {
		return
	}
	if again.Verdict != policy.Admitted {
		x.turnAway(j.door(), again)
		return
	}
	// The device's own slowness at a body that is read ahead does not count.
	ctx, cancel := context.WithDeadline(x.r.Context(), x.deadline)
	defer cancel()
	x.agent.retries.Deposit(d.Route.Class)
	j.ctx = ctx
	ans, failed := j.travel()
	if failed != nil {
		x.fail(ctx, failed)
		return
	}
	x.learned(ans)
	x.relay(ans)
}

// journey tries the legs of a plan one after the other.
type journey struct {
	*exchange
	ctx    context.Context
	order  policy.PlanOrder
	next   int              // of order
	tried  *policy.Instance // local instance that failed last
	lost   string           // remote agent that failed last
	unsent int              // attempts that reached nobody
}

func (j *journey) left() int { return j.order.Len() - j.next }

// door is that of the leg to go next.
func (j *journey) door() *door { return j.doorOf(j.order.At(j.next)) }

func (j *journey) doorOf(leg policy.Leg) *door {
	if leg.Local {
		return j.gate.local
	}
	return j.agent.admissions.door(j.gate, leg.Region)
}

// admit asks for admission where the request should go first, if need be after a
// wait, else in the next region when that has room at once. What both refuse is
// refused for the reason of the first.
func (j *journey) admit(ask func(d *door, wait bool) policy.Admit) (*door, policy.Admit) {
	first := j.door()
	refused := ask(first, true)
	if refused.Verdict == policy.Admitted || refused.Reason == policy.ShedDeadline || !time.Now().Before(j.deadline) {
		return first, refused
	}
	if j.left() < 2 || j.order.At(j.next+1).LastResort {
		return first, refused
	}
	j.next++
	second := j.door()
	if admit := ask(second, false); admit.Verdict == policy.Admitted {
		return second, admit
	}
	return first, refused
}

// enterNext sees to it that a slot in the region to go next is held.
func (j *journey) enterNext() *failure {
	if j.held.Load() != nil {
		return nil
	}
	d := j.door()
	admit := j.enter(d, true)
	if admit.Verdict == policy.Admitted {
		return nil
	}
	cause, retryMS := d.blame()
	return &failure{reason: admit.Reason.String(), notSent: true, shed: true, cause: cause, retryMS: retryMS}
}

func (j *journey) travel() (*answer, *failure) {
	var last *failure
	for j.left() > 0 {
		if shed := j.enterNext(); shed != nil {
			if last == nil || last.notSent || last.err == nil {
				last = shed
			}
			j.next++
			continue
		}
		ans, failed := j.attempt(j.order.At(j.next))
		if failed == nil {
			return ans, nil
		}
		j.gaveUp(j.ctx, failed)
		if failed.leaves {
			j.leave()
			j.next++
		}
		if failed.err == nil { // nobody there to try
			if last == nil {
				last = failed
			}
			continue
		}
		last = failed
		if !j.mayGoOn(failed) {
			break
		}
	}
	return nil, last
}

func (j *journey) attempt(leg policy.Leg) (*answer, *failure) {
	j.region = leg.Region
	if leg.Local {
		return j.attemptLocal()
	}
	return j.attemptRemote(leg.Region)
}

// mayGoOn decides whether a failed attempt may be followed by another. What
// went nowhere, or to a region that is down, is sent elsewhere freely;
// everything else is a retry and needs room in the budget.
func (j *journey) mayGoOn(f *failure) bool {
	if j.ctx.Err() != nil || j.left() == 0 || f.final() || j.usedUp(f) {
		return false
	}
	ok, _ := policy.Retriable(policy.Attempt{
		Method:         j.r.Method,
		Idempotent:     j.decision.Route.Retry.Idempotent,
		IdempotencyKey: j.r.Header.Get("Idempotency-Key") != "",
		NotSent:        f.notSent,
		BodyReplayable: j.body.replayable(),
		Outcome:        policy.OutcomeFailed,
	})
	if !ok {
		return false
	}
	remote := !j.order.At(j.next).Local
	if !f.notSent && !f.rerouted && !j.agent.retries.Spend(j.decision.Route.Class, remote, time.Now()) {
		return false
	}
	to := "local"
	if remote {
		to = "remote"
	}
	j.agent.metrics.retries.WithLabelValues(to, f.reason).Inc()
	return true
}

// final: no other place would do better.
func (f *failure) final() bool {
	return f.shed || f.reason == reasonBody || f.reason == reasonTimeout
}

// usedUp counts against the route's attempts only those that reached somebody;
// with the others they are at most policy.MaxAttempts.
func (j *journey) usedUp(f *failure) bool {
	if f.notSent {
		j.unsent++
	}
	return j.attempts >= policy.MaxAttempts || j.attempts-j.unsent >= j.decision.Route.Retry.Attempts
}

func (x *exchange) fail(ctx context.Context, f *failure) {
	switch {
	case x.r.Context().Err() != nil:
		x.abandon()
	case f.shed:
		x.refuseShed(f.reason, f.cause, f.retryMS)
	case f.reason == reasonBody:
		x.refuseBody(f.err)
	case ctx.Err() != nil || f.reason == reasonTimeout:
		x.refuse(http.StatusGatewayTimeout, reasonTimeout, "no answer within "+x.timeout.String())
	case f.err == nil || f.notSent:
		x.refuse(http.StatusServiceUnavailable, f.reason, f.detail(x.decision.Target))
	default:
		x.refuse(http.StatusBadGateway, f.reason, f.detail(x.decision.Target))
	}
}

// detail says what a device may know: not addresses, not the mesh's insides.
func (f *failure) detail(t policy.Target) string {
	switch f.reason {
	case reasonNoInstance:
		return "no instance of " + t.String() + " can be reached"
	case reasonMeshLost:
		return "the region that was serving " + t.String() + " was lost"
	}
	return t.String() + " did not answer"
}

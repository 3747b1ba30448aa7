package agent

import (
	"context"
	"io"
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
}

// forward sends the message along its plan until somebody answers.
func (x *exchange) forward() {
	d := &x.decision
	plan := x.view.Plan(d.Target, d.Service.Failover, d.Route.Regions, nil)
	if len(plan.Legs) == 0 {
		x.refuse(http.StatusServiceUnavailable, reasonNoRegion, "no region can serve "+d.Target.String())
		return
	}
	if !x.readBody() {
		return
	}
	// The device's own slowness at a body that is read ahead does not count.
	ctx, cancel := context.WithTimeout(x.r.Context(), d.Timeout)
	defer cancel()
	x.agent.retries.Deposit(d.Route.Class)
	j := journey{exchange: x, ctx: ctx, legs: plan.Legs}
	ans, failed := j.travel()
	if failed != nil {
		x.fail(ctx, failed)
		return
	}
	x.relay(ans)
}

// journey tries the legs of a plan one after the other.
type journey struct {
	*exchange
	ctx    context.Context
	legs   []policy.Leg
	tried  *policy.Instance // local instance that failed last
	lost   string           // remote agent that failed last
	unsent int              // attempts that reached nobody
}

func (j *journey) travel() (*answer, *failure) {
	var last *failure
	for len(j.legs) > 0 {
		leg := j.legs[0]
		ans, failed := j.attempt(leg)
		if failed == nil {
			return ans, nil
		}
		if failed.leaves {
			j.legs = j.legs[1:]
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
	if j.ctx.Err() != nil || len(j.legs) == 0 || f.final() || j.usedUp(f) {
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
	remote := !j.legs[0].Local
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
func (f *failure) final() bool { return f.reason == reasonBody || f.reason == reasonTimeout }

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
	case f.reason == reasonBody:
		x.refuseBody(f.err)
	case ctx.Err() != nil || f.reason == reasonTimeout:
		x.refuse(http.StatusGatewayTimeout, reasonTimeout, "no answer within "+x.decision.Timeout.String())
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

package agent

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// serveMesh hands a message of another region to an instance here. It never
// sends it on: what crossed one border crosses no second, so there are no
// loops.
func (a *Agent) serveMesh(w http.ResponseWriter, r *http.Request) {
	peer, _ := transport.PeerFrom(r.Context())
	if len(r.Header[transport.HeaderControl]) > 0 {
		a.serveControl(w, r, peer)
		return
	}
	fwd, err := transport.ReadForward(r.Header)
	if err != nil || fwd.Region != peer.Region {
		a.metrics.doneFor(peer.Region, reasonBadRequest)
		w.Header().Set(headerRefused, reasonBadRequest)
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest,
			Detail: "the mesh headers are missing, malformed or speak for another region"})
		return
	}
	a.active.Add(1)
	x := &exchange{agent: a, view: a.view.Load(), w: w, r: r, started: time.Now()}
	defer func() {
		x.leave()
		a.active.Add(-1)
		a.metrics.doneFor(peer.Region, x.outcome())
	}()
	x.serveForward(fwd)
}

// serveForward tries up to two instances, the second only when the first
// surely processed nothing.
func (x *exchange) serveForward(fwd transport.Forward) {
	first := x.pickFor(fwd.Target)
	if first == nil {
		x.failMesh(&failure{reason: reasonNoInstance, notSent: true})
		return
	}
	if failed := x.admitForward(fwd); failed != nil {
		x.failMesh(failed)
		return
	}
	if x.loadBody() != nil {
		x.failMesh(&failure{reason: reasonBody})
		return
	}
	ctx, cancel := context.WithDeadline(x.r.Context(), x.deadline)
	defer cancel()
	ans, failed := x.agent.callInstance(ctx, first, x.meshRequest(fwd), subjectOf(&fwd))
	if failed != nil && failed.notSent && x.body.replayable() {
		if second := x.pickFor(fwd.Target, first); second != nil {
			ans, failed = x.agent.callInstance(ctx, second, x.meshRequest(fwd), subjectOf(&fwd))
		}
	}
	if failed != nil {
		x.gaveUp(ctx, failed)
		x.failMesh(failed)
		return
	}
	x.learned(ans)
	x.relay(ans)
}

// admitForward has the last word on what another region sends. It ranks below
// what arrives here of the same class.
func (x *exchange) admitForward(fwd transport.Forward) *failure {
	x.gate = x.agent.admissions.gate(fwd.Target.String())
	x.rank, x.deadline = fwd.Rank.AsSpilled(), x.started.Add(fwd.Deadline)
	x.messages = fwd.Messages
	x.sample = policy.Sample{Outcome: policy.OutcomeAbandoned, Class: fwd.Class, Messages: fwd.Messages}
	admit := x.enter(x.gate.local, true)
	if admit.Verdict == policy.Admitted {
		return nil
	}
	_, retryMS := x.gate.local.blame()
	return &failure{reason: admit.Reason.String(), notSent: true, shed: true, retryMS: retryMS}
}

func (x *exchange) pickFor(t policy.Target, exclude ...*policy.Instance) *policy.Instance {
	pool := x.view.Local[t.String()]
	if pool == nil {
		return nil
	}
	return pool.Pick(rand.Uint64(), time.Now(), exclude...)
}

// failMesh tells the ingress agent what it may conclude.
func (x *exchange) failMesh(f *failure) {
	mark, status := headerFailed, http.StatusBadGateway
	switch {
	case x.r.Context().Err() != nil:
		x.abandon()
	case f.notSent:
		mark, status = headerRefused, http.StatusServiceUnavailable
	case f.reason == reasonTimeout:
		status = http.StatusGatewayTimeout
	}
	x.status, x.reason = status, f.reason
	x.w.Header().Set(mark, f.reason)
	if f.shed {
		x.w.Header().Set(headerRetry, strconv.FormatInt(f.retryMS, 10))
	}
	writeProblem(x.w, problem{Status: status, Reason: f.reason})
}

func (x *exchange) meshRequest(fwd transport.Forward) *upstream.Request {
	h := x.r.Header
	delete(h, transport.HeaderService)
	delete(h, transport.HeaderSubset)
	delete(h, transport.HeaderDeadline)
	delete(h, transport.HeaderRank)
	delete(h, transport.HeaderRepeat)
	delete(h, transport.HeaderMessages)
	req := &upstream.Request{
		Method:        x.r.Method,
		RequestURI:    x.r.URL.RequestURI(),
		Host:          x.r.Host,
		Header:        h,
		Bytes:         x.body.small,
		ContentLength: x.body.length,
		Repeat:        repeats[fwd.Repeat],
	}
	if x.body.stream != nil {
		req.Body = x.body.reader()
	}
	if len(x.r.Trailer) > 0 {
		req.Trailer = x.trailer
	}
	return req
}

package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// attemptLocal gives the message to an instance of this region.
func (j *journey) attemptLocal() (*answer, *failure) {
	pool := j.view.Local[j.decision.Target.String()]
	inst := pool.Pick(rand.Uint64(), time.Now(), j.tried)
	if inst == nil {
		return nil, &failure{reason: reasonNoInstance, leaves: true}
	}
	j.attempts++
	j.instance = inst.Address
	ans, failed := j.agent.callInstance(j.ctx, inst, j.upstreamRequest())
	if failed != nil {
		other := pool.Pick(rand.Uint64(), time.Now(), inst)
		// The last place there is may be asked again, even the same instance.
		failed.leaves = len(j.legs) > 1 && (j.tried != nil || other == nil)
		if j.tried = inst; other == nil {
			j.tried = nil
		}
	}
	return ans, failed
}

func (j *journey) upstreamRequest() *upstream.Request {
	req := &upstream.Request{
		Method:        j.r.Method,
		RequestURI:    requestURI(&j.decision),
		Host:          j.decision.Host,
		Header:        j.onwardHeader(),
		Bytes:         j.body.small,
		ContentLength: j.body.length,
		Idempotent:    j.decision.Route.Retry.Idempotent == policy.IdempotentAlways,
	}
	if rd := j.body.reader(); rd != nil && j.body.small == nil {
		req.Body = rd
	}
	if len(j.r.Trailer) > 0 {
		req.Trailer = func() http.Header { return j.r.Trailer }
	}
	return req
}

func requestURI(d *policy.Decision) string {
	if d.Query == "" {
		return d.Path
	}
	return d.Path + "?" + d.Query
}

// callInstance sends one request to one instance and tells the instance's
// record how it went. The edge and the mesh side both end here.
func (a *Agent) callInstance(ctx context.Context, inst *policy.Instance, req *upstream.Request) (*answer, *failure) {
	began := time.Now()
	inst.Begin()
	resp, err := a.upstream.Do(ctx, inst.Address, req)
	if err != nil {
		inst.End(time.Now(), time.Since(began), outcomeOf(ctx, err))
		return nil, instanceFailure(err)
	}
	latency := time.Since(began)
	return &answer{
		status: resp.Status, header: resp.Header, length: resp.ContentLength,
		body: resp.Body, trailer: resp.Trailer,
		done: func(failed bool) {
			inst.End(time.Now(), latency, answerOutcome(resp.Status, failed))
		},
	}, nil
}

func answerOutcome(status int, failed bool) policy.Outcome {
	switch {
	case failed:
		return policy.OutcomeFailed
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return policy.OutcomeRefused
	case status == http.StatusInternalServerError, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return policy.OutcomeFailed
	}
	return policy.OutcomeOK
}

// outcomeOf does not blame an instance for a device that left.
func outcomeOf(ctx context.Context, err error) policy.Outcome {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, upstream.ErrBody) || errors.Is(err, upstream.ErrRequest) {
		return policy.OutcomeAbandoned
	}
	return policy.OutcomeFailed
}

func instanceFailure(err error) *failure {
	f := &failure{err: err, reason: reasonOf(err), notSent: errors.Is(err, upstream.ErrNotSent)}
	switch {
	case errors.Is(err, upstream.ErrDial), errors.Is(err, upstream.ErrBusy):
		f.reason = reasonNoInstance
	case errors.Is(err, upstream.ErrBody), errors.Is(err, upstream.ErrRequest):
		f.reason, f.notSent = reasonBody, false
	}
	return f
}

// attemptRemote gives the message to an agent of another region.
func (j *journey) attemptRemote(region string) (*answer, *failure) {
	t := j.agent.pickTunnel(region, j.lost)
	if t == nil {
		return nil, &failure{reason: reasonMeshLost, leaves: true}
	}
	j.attempts++
	j.instance = t.Peer().Agent
	resp, err := t.RoundTrip(j.tunnelRequest())
	if err != nil {
		failed := j.tunnelFailure(region, err)
		failed.leaves = failed.leaves || j.lost != ""
		j.lost = t.Peer().Agent
		return nil, failed
	}
	if failed := farFailure(resp.Header); failed != nil {
		_ = resp.Body.Close()
		return nil, failed
	}
	return &answer{
		status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
		body: resp.Body, trailer: func() http.Header { return resp.Trailer },
		done: func(bool) {},
	}, nil
}

func (j *journey) tunnelFailure(region string, err error) *failure {
	f := &failure{err: err, reason: reasonMeshLost, notSent: errors.Is(err, transport.ErrNotSent)}
	if errors.Is(err, context.DeadlineExceeded) {
		f.reason = reasonTimeout
	}
	if gone := j.agent.view.Load().Regions[region]; gone == nil || gone.State == policy.RegionDown {
		f.rerouted, f.leaves = true, true
	}
	return f
}

// errFar: the agent of the other region could not get an answer.
var errFar = errors.New("the other region's agent got no answer")

// farFailure reads what the other region's agent, not a service, says.
func farFailure(h http.Header) *failure {
	if reason := h.Get(headerRefused); reason != "" {
		return &failure{err: errFar, reason: reason, notSent: true, leaves: true}
	}
	if reason := h.Get(headerFailed); reason != "" {
		return &failure{err: errFar, reason: reason, leaves: true}
	}
	return nil
}

// pickTunnel chooses between the live tunnels to a region by two random
// choices on requests in flight (Mitzenmacher, 2001), avoiding one agent when
// there is another.
func (a *Agent) pickTunnel(region, avoid string) *transport.Tunnel {
	var room [4]*transport.Tunnel
	all := a.mesh.AppendTunnels(room[:0], region)
	if len(all) > 1 && avoid != "" {
		for i, t := range all {
			if t.Peer().Agent == avoid {
				all[i] = all[len(all)-1]
				all = all[:len(all)-1]
				break
			}
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	i := rand.IntN(len(all))
	k := (i + 1 + rand.IntN(len(all)-1)) % len(all)
	if all[k].InFlight() < all[i].InFlight() {
		i = k
	}
	return all[i]
}

func (j *journey) tunnelRequest() *http.Request {
	h := j.onwardHeader()
	deadline, _ := j.ctx.Deadline()
	transport.Forward{
		Class:    j.decision.Route.Class,
		Deadline: time.Until(deadline),
		Target:   j.decision.Target,
		Device:   j.message.Device.ID,
		Route:    j.decision.Route.Name,
		Region:   j.view.Region,
	}.Set(h)
	req := &http.Request{
		Method: j.r.Method,
		URL: &url.URL{Scheme: "https", Host: j.decision.Host, Opaque: "",
			Path: j.decision.Path, RawPath: j.decision.Path, RawQuery: j.decision.Query},
		Host:          j.decision.Host,
		Header:        h,
		ContentLength: j.body.length,
		Body:          j.body.reader(),
		Trailer:       j.r.Trailer,
	}
	if req.Body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	return req.WithContext(j.ctx)
}

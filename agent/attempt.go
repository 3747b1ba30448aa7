package agent

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
	ans, failed := j.agent.callInstance(j.ctx, inst, j.upstreamRequest(), j.subject())
	if failed != nil {
		other := pool.Pick(rand.Uint64(), time.Now(), inst)
		// The last place there is may be asked again, even the same instance.
		failed.leaves = j.left() > 1 && (j.tried != nil || other == nil)
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
		Repeat:        repeats[j.decision.Route.Retry.Idempotent],
	}
	if j.body.stream != nil {
		req.Body = j.body.reader()
	}
	if len(j.r.Trailer) > 0 {
		req.Trailer = j.trailer
	}
	return req
}

// trailer is that of the request, once its body was read.
func (x *exchange) trailer() http.Header {
	if x.service != "" {
		transport.StripEdge(x.r.Trailer)
	}
	return x.r.Trailer
}

var repeats = [...]upstream.Repeat{
	policy.IdempotentByMethod: upstream.RepeatByMethod,
	policy.IdempotentAlways:   upstream.RepeatAlways,
	policy.IdempotentNever:    upstream.RepeatNever,
}

func requestURI(d *policy.Decision) string {
	if d.Query == "" {
		return d.Path
	}
	return d.Path + "?" + d.Query
}

// callInstance sends one request to one instance and tells the instance's
// record how it went. The edge and the mesh side both end here.
func (a *Agent) callInstance(ctx context.Context, inst *policy.Instance, req *upstream.Request, s subject) (*answer, *failure) {
	began := time.Now()
	inst.Begin()
	if by := a.conditions.Spoils(s.service, s.class, s.device); by != nil {
		if ans, failed := spoil(ctx, inst, by, began); ans != nil || failed != nil {
			return ans, failed
		}
	}
	resp, err := a.upstream.Do(ctx, inst.Address, req)
	if err != nil {
		inst.End(time.Now(), time.Since(began), outcomeOf(ctx, err))
		failed := instanceFailure(err)
		failed.waited = time.Since(began)
		return nil, failed
	}
	latency := time.Since(began)
	return &answer{
		status: resp.Status, header: resp.Header, length: resp.ContentLength,
		body: resp.Body, latency: latency, local: resp, trailer: resp.Trailer,
		done: func(outcome policy.Outcome) { inst.End(time.Now(), latency, outcome) },
	}, nil
}

func answerOutcome(status int) policy.Outcome {
	switch {
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
	began := time.Now()
	resp, err := t.RoundTrip(j.tunnelRequest(t.RTT()))
	if err != nil {
		failed := j.tunnelFailure(region, err)
		failed.waited = time.Since(began)
		failed.leaves = failed.leaves || j.lost != ""
		j.lost = t.Peer().Agent
		return nil, failed
	}
	if failed := farFailure(resp); failed != nil {
		_ = resp.Body.Close()
		failed.waited = time.Since(began)
		if failed.shed {
			failed.cause, j.sample.Outcome = region, policy.OutcomeRefused
		}
		return nil, failed
	}
	return &answer{
		status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
		body: resp.Body, latency: time.Since(began), trailer: func() http.Header { return resp.Trailer },
		done: func(policy.Outcome) {},
	}, nil
}

func (j *journey) tunnelFailure(region string, err error) *failure {
	f := &failure{err: err, reason: reasonMeshLost, notSent: errors.Is(err, transport.ErrNotSent)}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		f.reason = reasonTimeout
	case !f.notSent && !errors.Is(err, transport.ErrTunnelLost):
		f.reason = reasonBody
	}
	// Whoever was at the other end is gone: that is no overload to be careful
	// of. Often it is the first sign of the whole region's end, so the request
	// does not stake its next attempt on the same region when there is another.
	f.rerouted = errors.Is(err, transport.ErrTunnelLost)
	f.leaves = f.rerouted && j.left() > 1
	if gone := j.agent.view.Load().Regions[region]; gone == nil || gone.State == policy.RegionDown {
		f.rerouted, f.leaves = true, true
	}
	return f
}

// errFar: the agent of the other region could not get an answer.
var errFar = errors.New("the other region's agent got no answer")

// farFailure reads what the other region's agent, not a service, says.
func farFailure(resp *http.Response) *failure {
	if reason := resp.Header.Get(headerRefused); shedIndex(reason) >= 0 {
		return &failure{err: errFar, reason: reason, notSent: true, shed: true, retryMS: farRetry(resp.Header)}
	} else if reason != "" {
		return &failure{err: errFar, reason: farReason(reason), notSent: true, leaves: true}
	}
	if reason := resp.Header.Get(headerFailed); reason != "" {
		return &failure{err: errFar, reason: farReason(reason), leaves: true}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 599 {
		return &failure{err: errFar, reason: reasonUpstream, leaves: true}
	}
	return nil
}

// farRetry is when the far agent wants the request back, in milliseconds; 0
// when it does not say anything of sense.
func farRetry(h http.Header) int64 {
	ms, err := strconv.ParseUint(h.Get(headerRetry), 10, 32)
	if err != nil {
		return 0
	}
	return min(int64(ms), longestRetry.Milliseconds())
}

// farReason takes no word of a peer for a metric's label unless it is known.
func farReason(reason string) string {
	switch reason {
	case reasonNoInstance, reasonTimeout, reasonBody, reasonBadRequest:
		return reason
	}
	return reasonUpstream
}

// pickTunnel chooses between the live tunnels to a region by two random
// choices on requests in flight (Mitzenmacher, 2001), not one to an agent that
// was lost when there is another.
func (a *Agent) pickTunnel(region, lost string) *transport.Tunnel {
	var room [4]*transport.Tunnel
	all := a.mesh.AppendTunnels(room[:0], region)
	if lost != "" {
		all = slices.DeleteFunc(all, func(t *transport.Tunnel) bool { return t.Peer().Agent == lost })
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

func (j *journey) tunnelRequest(rtt time.Duration) *http.Request {
	h := j.onwardHeader()
	deadline, _ := j.ctx.Deadline()
	transport.Forward{
		Class:    j.decision.Route.Class,
		Rank:     j.rank,
		Messages: j.messages,
		Deadline: farDeadline(time.Until(deadline), rtt),
		Target:   j.decision.Target,
		Device:   j.message.Device.ID,
		Route:    j.decision.Route.Name,
		Region:   j.view.Region,
		Repeat:   j.decision.Route.Retry.Idempotent,
	}.Set(h)
	req := &http.Request{Method: j.r.Method, URL: farURL(&j.decision), Host: j.decision.Host, Header: h, Body: http.NoBody}
	j.giveBody(req)
	return req.WithContext(j.ctx)
}

// farDeadline leaves time for the other agent's answer to come back, so that
// it, not we, ends an instance that hangs, and blames it.
func farDeadline(left, rtt time.Duration) time.Duration {
	return left - min(rtt+5*time.Millisecond, left/4)
}

// farURL carries the path as escaped as it came.
func farURL(d *policy.Decision) *url.URL {
	u := &url.URL{Scheme: "https", Host: d.Host, Path: d.Path, RawQuery: d.Query}
	if plain, err := url.PathUnescape(d.Path); err == nil {
		u.Path, u.RawPath = plain, d.Path
	}
	return u
}

func (j *journey) giveBody(req *http.Request) {
	rd := j.body.reader()
	if rd == nil {
		return
	}
	req.Body, req.ContentLength = rd, j.body.length
	if j.body.small != nil {
		req.GetBody = func() (io.ReadCloser, error) { return j.body.reader(), nil }
	}
	if len(j.r.Trailer) > 0 {
		req.Trailer = make(http.Header, len(j.r.Trailer))
		for name := range j.r.Trailer {
			req.Trailer[name] = nil
		}
		req.Body = &trailedBody{ReadCloser: rd, exchange: j.exchange, trailer: req.Trailer}
	}
}

// trailedBody fills the trailer that was announced in when the body ends:
// servers replace theirs then.
type trailedBody struct {
	io.ReadCloser
	exchange *exchange
	trailer  http.Header
}

func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		maps.Copy(b.trailer, b.exchange.trailer())
	}
	return n, err
}

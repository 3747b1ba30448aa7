package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// exchange is one message on its way from a device, or from a local service,
// to an instance and back. It keeps the view it started with.
type exchange struct {
	agent    *Agent
	view     *policy.View
	w        http.ResponseWriter
	r        *http.Request
	message  policy.Message
	decision policy.Decision
	body     *body
	started  time.Time
	service  string            // called by name through the egress; empty for devices
	pub      *mqtt.Publication // that it came as; nil: as a request
	passage

	region   string // that served, or failed last
	instance string // address, or the remote agent
	status   int
	waited   time.Duration // until the answer's head
	attempts int
	reason   string // why the agent itself answered; empty when a service did
}

// handle takes one message through route, plan and instance.
func (a *Agent) handle(w http.ResponseWriter, r *http.Request, device policy.Device) {
	x := &exchange{agent: a, view: a.view.Load(), w: w, r: r, started: time.Now()}
	x.message = messageOf(r, device)
	x.begin()
	defer x.finish()
	x.run()
}

func (x *exchange) begin() { x.agent.active.Add(1) }

func messageOf(r *http.Request, device policy.Device) policy.Message {
	return policy.Message{
		Method: r.Method,
		Host:   hostOnly(r.Host),
		Path:   r.URL.EscapedPath(),
		Query:  r.URL.RawQuery,
		Header: r.Header,
		Device: device,
	}
}

func hostOnly(hostport string) string {
	if strings.LastIndexByte(hostport, ':') < 0 {
		return strings.ToLower(hostport)
	}
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(hostport)
}

func (x *exchange) run() {
	if x.view.Policy == nil {
		x.refuse(http.StatusServiceUnavailable, reasonNoPolicy, "this agent has no policy yet")
		return
	}
	if !x.mayEnter() || !x.readPayload() {
		return
	}
	x.decision = x.decide()
	if failed := x.decision.Failed; failed > 0 {
		x.agent.metrics.failed.Add(float64(failed))
	}
	route := x.decision.Route
	switch {
	case route == nil:
		x.refuse(http.StatusNotFound, reasonNoRoute, "no route matches "+x.message.Method+" "+x.message.Path)
	case !x.mayUse(route):
		x.refuse(http.StatusUnauthorized, reasonUnknown, "this route is for devices that show who they are")
	case route.Respond != nil:
		x.respond(route.Respond)
	default:
		x.forward()
	}
}

func (x *exchange) decide() policy.Decision {
	if x.service != "" {
		return decideEgress(x.view.Policy, &x.message, x.service, nil)
	}
	return x.view.Policy.Decide(&x.message, rand.Uint64(), nil)
}

// readPayload reads the body ahead when a candidate route decides on it, and
// only then.
func (x *exchange) readPayload() bool {
	limit := x.view.Policy.PayloadLimit(&x.message)
	if limit == 0 {
		return true
	}
	if !x.readBody() {
		return false
	}
	head, err := x.body.head(limit)
	if err != nil {
		x.refuseBody(err)
		return false
	}
	x.message.Payload = head
	return true
}

func (x *exchange) readBody() bool {
	if err := x.loadBody(); err != nil {
		x.refuseBody(err)
		return false
	}
	return true
}

func (x *exchange) loadBody() (err error) {
	if x.body == nil {
		x.body, err = readBody(x.r)
	}
	if err == nil && x.body.stream != nil && x.r.ProtoMajor == 1 {
		// Else net/http reads the rest of the body before it answers.
		_ = http.NewResponseController(x.w).EnableFullDuplex()
	}
	return err
}

// refuseBody does not pass the error on: it may name an instance.
func (x *exchange) refuseBody(err error) {
	switch {
	case x.r.Context().Err() != nil:
		x.abandon()
	case errors.Is(err, edge.ErrStalled):
		x.refuse(http.StatusRequestTimeout, reasonBody, "the request's body stopped arriving")
	case errors.Is(err, upstream.ErrRequest):
		x.refuse(http.StatusBadRequest, reasonBadRequest, "the request cannot be passed on as it is")
	default:
		x.refuse(http.StatusBadRequest, reasonBody, "the request's body could not be read to its end")
	}
}

// abandon ends the exchange of a device that left. Returning without a word
// would be a 200, an acknowledgement.
func (x *exchange) abandon() {
	x.status, x.reason = statusClientClosed, reasonCanceled
	panic(http.ErrAbortHandler)
}

func (x *exchange) respond(fixed *policy.Respond) {
	h := x.w.Header()
	for name, value := range fixed.Headers {
		h.Set(name, value)
	}
	x.decision.ApplyResponse(h)
	x.status = fixed.Status
	x.w.WriteHeader(fixed.Status)
	_, _ = x.w.Write([]byte(fixed.Body))
}

// statusClientClosed stands in logs and metrics for a device that left.
const statusClientClosed = 499

// refuse answers in the agent's own name.
func (x *exchange) refuse(status int, reason, detail string) {
	x.status, x.reason = status, reason
	p := problem{Status: status, Reason: reason, Detail: detail, Class: x.className()}
	if status == http.StatusServiceUnavailable {
		p.RetryAfterMS = retryAfter(0)
	}
	writeProblem(x.w, p)
}

func (x *exchange) className() string {
	if x.decision.Route == nil {
		return ""
	}
	return x.decision.Route.Class.String()
}

// finish counts and logs the exchange, whatever became of it.
func (x *exchange) finish() {
	a := x.agent
	a.active.Add(-1)
	took := time.Since(x.started)
	a.metrics.done(x.series(), took)
	a.access.log(x, took)
}

// noRoute stands in metrics for the route of messages that have none.
const noRoute = "-"

func (x *exchange) series() boundKey {
	k := boundKey{route: noRoute, region: x.region, outcome: x.outcome()}
	if x.decision.Route != nil {
		k.route, k.class = x.decision.Route.Name, x.decision.Route.Class
	}
	return k
}

func (x *exchange) outcome() string {
	switch {
	case x.reason != "":
		return x.reason
	case x.status >= 500:
		return "service-error"
	case x.status >= 400:
		return "service-refused"
	}
	return "ok"
}

// reasonOf names what ended an attempt for metrics and answers.
func reasonOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return reasonTimeout
	}
	return reasonUpstream
}

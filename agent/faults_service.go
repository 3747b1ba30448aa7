package agent

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// subject is what a fault of a service looks at.
type subject struct {
	service string
	class   policy.Class
	device  string
}

func (x *exchange) subject() subject {
	return subject{x.decision.Target.Service, x.decision.Route.Class, x.message.Device.ID}
}

func subjectOf(fwd *transport.Forward) subject {
	return subject{fwd.Target.Service, fwd.Class, fwd.Device}
}

// spoil does to a request what a fault says; nothing is returned when it may go on
// to the instance, whose record tells of the fault as if it were its own.
func spoil(ctx context.Context, inst *policy.Instance, by *inject.ServiceFault, began time.Time) (*answer, *failure) {
	if err := wait(ctx, by.Delay); err != nil {
		inst.End(time.Now(), time.Since(began), outcomeOf(ctx, err))
		failed := instanceFailure(err)
		failed.waited = time.Since(began)
		return nil, failed
	}
	if by.Status == 0 {
		return nil, nil
	}
	ans := injected(by.ID, by.Status)
	ans.latency = time.Since(began)
	ans.done = func(outcome policy.Outcome) { inst.End(time.Now(), ans.latency, outcome) }
	return ans, nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// injected is the answer of a fault.
func injected(id string, status int) *answer {
	p := problem{Status: status, Reason: reasonInjected, Detail: "fault " + id}
	body := p.appendJSON(nil)
	return &answer{
		status: status, length: int64(len(body)), body: io.NopCloser(bytes.NewReader(body)),
		header:  http.Header{"Content-Type": {admin.ProblemType}, "Content-Length": {strconv.Itoa(len(body))}},
		trailer: func() http.Header { return nil },
		done:    func(policy.Outcome) {},
	}
}

// spoiltByRoute does to a message what its route's fault says, and says whether it
// was answered.
func (x *exchange) spoiltByRoute() bool {
	f := x.decision.Route.Fault
	if f == nil || x.agent.opts.Faults == nil || !x.agent.conditions.Now().Before(f.Until) {
		return false
	}
	if f.Share < 1 && rand.Float64() >= f.Share || !inject.Among(x.message.Device.ID, f.Devices) {
		return false
	}
	ctx, cancel := context.WithDeadline(x.r.Context(), x.deadline)
	defer cancel()
	switch err := wait(ctx, f.Delay); {
	case x.r.Context().Err() != nil:
		x.abandon()
	case err != nil:
		x.refuse(http.StatusGatewayTimeout, reasonTimeout, "the route's fault took longer than the message may")
	case f.Status == 0:
		return false
	default:
		x.refuse(f.Status, reasonInjected, "fault of route "+x.decision.Route.Name)
	}
	return true
}

package agent

import (
	"net/http"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// revoked says that the policy in force denies a device.
func (a *Agent) revoked(d policy.Device) bool {
	p := a.policies.current()
	return p != nil && p.Denied(d) || !a.stands(&d)
}

// stands says that nobody took back what the device showed.
func (a *Agent) stands(d *policy.Device) bool {
	return (a.passwords == nil || a.passwords.Stands(d)) && (a.tokens == nil || a.tokens.Stands(d))
}

// mayEnter refuses what no access block of the policy allows a device that is
// known. Local services are not devices.
func (x *exchange) mayEnter() bool {
	if x.service != "" || x.message.Device.ID == "" {
		return true
	}
	v := x.view.Policy.Access(&x.message, nil)
	if v.Failed > 0 {
		x.agent.metrics.failed.Add(float64(v.Failed))
	}
	if v.Audit != "" {
		x.agent.metrics.audited.WithLabelValues(v.Audit).Inc()
	}
	if !v.Allowed {
		x.refuse(http.StatusForbidden, reasonAccess, "this device may not send "+x.message.Method+" "+x.message.Path)
		return false
	}
	if wait := x.agent.rates.Take(x.started, v.Limits, &x.message.Device); wait > 0 {
		x.slowDown(wait)
		return false
	}
	return true
}

// slowDown refuses what exceeds a rate of the policy, and says when to come back.
func (x *exchange) slowDown(wait time.Duration) {
	x.status, x.reason = http.StatusTooManyRequests, reasonRate
	writeProblem(x.w, problem{Status: x.status, Reason: x.reason, Detail: "more than this device, or its like, may send", RetryAfterMS: max(1, wait.Milliseconds())})
}

// mayUse says whether a route is for the likes of this client.
func (x *exchange) mayUse(r *policy.Route) bool {
	return x.service != "" || x.message.Device.ID != "" || x.view.Policy.AllowsUnknown(r)
}

package agent

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// Explain takes a message that is not sent through the same decisions as one
// that is, and says at each step what was taken and what was passed over.
func (a *Agent) Explain(in admin.ExplainRequest) (admin.ExplainAnswer, error) {
	m, err := messageIn(in)
	if err != nil {
		return admin.ExplainAnswer{}, err
	}
	v := a.view.Load()
	ans := admin.ExplainAnswer{Agent: v.Agent}
	if v.Policy == nil {
		ans.Status, ans.Verdict = http.StatusServiceUnavailable, "refused: this agent has no policy yet"
		return ans, nil
	}
	ans.PolicyVersion = v.Policy.Version()
	var trace policy.Trace
	a.explainDecision(&ans, v, m, &trace)
	ans.Steps = trace.Steps
	return ans, nil
}

func (a *Agent) explainDecision(ans *admin.ExplainAnswer, v *policy.View, m *policy.Message, trace *policy.Trace) {
	if limit := v.Policy.PayloadLimit(m); len(m.Payload) > limit {
		m.Payload = nil
	}
	d := v.Policy.Decide(m, rand.Uint64(), trace)
	switch {
	case d.Route == nil:
		ans.Status, ans.Verdict = http.StatusNotFound, "refused: no route matches"
		return
	case d.Route.Respond != nil:
		ans.Route, ans.Class, ans.Status = d.Route.Name, d.Route.Class.String(), d.Route.Respond.Status
		ans.Verdict = fmt.Sprintf("route %s answers %d itself", d.Route.Name, ans.Status)
		return
	}
	ans.Route, ans.Class, ans.Service, ans.Path = d.Route.Name, d.Route.Class.String(), d.Target.String(), d.Path
	plan := v.Plan(d.Target, d.Service.Failover, d.Route.Regions, trace)
	for _, leg := range plan.Legs {
		ans.Plan = append(ans.Plan, admin.ExplainLeg{
			Region: leg.Region, Local: leg.Local, Reason: leg.Reason, Weight: leg.Weight, Override: overrideOf(v, leg.Region)})
	}
	a.explainPlace(ans, v, plan, trace)
}

// explainPlace walks the plan to the first leg that has somebody to go to.
func (a *Agent) explainPlace(ans *admin.ExplainAnswer, v *policy.View, plan policy.Plan, trace *policy.Trace) {
	for _, leg := range plan.Legs {
		if leg.Local {
			pool := v.Local[plan.Target.String()]
			pool.Explain(time.Now(), trace)
			if inst := pool.Pick(rand.Uint64(), time.Now()); inst != nil {
				trace.Take("instance", inst.Address, "two random choices, the less loaded")
				setPlace(ans, leg.Region, inst.Address)
				return
			}
			continue
		}
		if t := a.pickTunnel(leg.Region, ""); t != nil {
			trace.Take("agent", t.Peer().Agent, "live tunnel, %d in flight", t.InFlight())
			setPlace(ans, leg.Region, t.Peer().Agent)
			return
		}
		trace.Pass("agent", leg.Region, "no live tunnel to any agent of the region")
	}
	ans.Status = http.StatusServiceUnavailable
	ans.Verdict = "refused: no region can serve " + plan.Target.String()
}

func setPlace(ans *admin.ExplainAnswer, region, instance string) {
	ans.Region, ans.Instance = region, instance
	ans.Verdict = fmt.Sprintf("route %s, class %s: %s in region %s at %s", ans.Route, ans.Class, ans.Service, region, instance)
}

func messageIn(in admin.ExplainRequest) (*policy.Message, error) {
	u, err := url.ParseRequestURI(in.Path)
	if err != nil || !strings.HasPrefix(in.Path, "/") {
		return nil, fmt.Errorf("explain: %w: path %q: give an absolute path, with an optional query", policy.ErrInvalid, in.Path)
	}
	h := make(map[string][]string, len(in.Headers))
	for name, values := range in.Headers {
		h[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	method := in.Method
	if method == "" {
		method = http.MethodGet
	}
	return &policy.Message{
		Method: method, Host: hostOnly(in.Host), Path: u.EscapedPath(), Query: u.RawQuery, Header: h,
		Device:  policy.Device{ID: in.Device.ID, Properties: in.Device.Properties},
		Payload: []byte(in.Payload),
	}, nil
}

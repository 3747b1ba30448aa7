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
	"github.com/tidegate/tidegate/transport"
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
	if m.Device.ID != "" && !v.Policy.Access(m, trace).Allowed {
		ans.Status, ans.Verdict = http.StatusForbidden, "refused: the policy does not allow this device "+m.Method+" "+m.Path
		return
	}
	switch {
	case m.Method != policy.MethodSubscribe && m.Method != policy.MethodCommand:
	case m.Device.ID == "":
		ans.Status, ans.Verdict = http.StatusUnauthorized, "refused: say which device it is about"
		return
	default:
		ans.Status, ans.Verdict = http.StatusOK, "allowed"
		return
	}
	d := decideLike(v.Policy, m, trace)
	switch {
	case d.Route == nil:
		ans.Status, ans.Verdict = http.StatusNotFound, "refused: no route matches"
		return
	case m.Device.ID == "" && !strings.HasSuffix(m.Host, meshSuffix) && !v.Policy.AllowsUnknown(d.Route):
		ans.Route, ans.Status = d.Route.Name, http.StatusUnauthorized
		ans.Verdict = fmt.Sprintf("refused: route %s is for devices that show who they are", d.Route.Name)
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
	if len(plan.Legs) > 0 {
		ans.Admission = a.explainAdmission(v, &d, m, plan.Order(rand.Uint64()).At(0), trace)
	}
	explainBatch(&d, m, trace)
	a.explainPlace(ans, v, plan, trace)
}

func explainBatch(d *policy.Decision, m *policy.Message, trace *policy.Trace) {
	switch batch := d.Route.Batch; {
	case batch == nil:
	case m.Method != policy.MethodPublish:
		trace.Pass("batch", d.Route.Name, "only what is published over MQTT gathers")
	default:
		trace.Take("batch", d.Route.Name, "gathers with others for %s: until there are %d messages, %d KiB, or the first has waited %s",
			d.Path, batch.Messages, (batch.Bytes+1023)>>10, batch.Wait)
	}
}

// decideLike decides by the host whose message it is: devices are refused
// those that end in meshSuffix, local services all others.
func decideLike(p *policy.Policy, m *policy.Message, trace *policy.Trace) policy.Decision {
	if service, ok := strings.CutSuffix(m.Host, meshSuffix); ok {
		return decideEgress(p, m, service, trace)
	}
	return p.Decide(m, rand.Uint64(), trace)
}

// explainAdmission says what would become of the message where it would go
// first, without asking: that would count.
func (a *Agent) explainAdmission(v *policy.View, d *policy.Decision, m *policy.Message, leg policy.Leg, trace *policy.Trace) *admin.ExplainAdmission {
	adm := a.admissions.local(d.Target.String())
	if !leg.Local {
		adm = a.admissions.remote(d.Target.String(), leg.Region)
	}
	s := adm.Stats()
	rank := policy.RankOf(d.Route.Class, policy.Cohort(m.Device.ID, a.conditions.Now()), false, false)
	out := &admin.ExplainAdmission{Region: leg.Region, Rank: rank.String(), Verdict: verdictOf(rank, &s), State: admin.AdmissionOf(s)}
	if shares := v.Shares[d.Target.Service]; leg.Local && shares != nil {
		out.Expected = inbounds(shares.Expected)
	}
	if trace != nil {
		trace.Take("admission", leg.Region, "%s", out.Verdict)
	}
	return out
}

func verdictOf(rank policy.Rank, s *policy.AdmissionStats) string {
	switch {
	case rank < s.Threshold && s.Cause != "":
		return fmt.Sprintf("shed: rank %s is below the threshold %s, which is up for the spill of %s", rank, s.Threshold, s.Cause)
	case rank < s.Threshold:
		return fmt.Sprintf("shed: rank %s is below the threshold %s", rank, s.Threshold)
	case s.InFlight >= s.Limit:
		return fmt.Sprintf("queued: %d of %d in flight, %d wait", s.InFlight, s.Limit, s.Queued)
	}
	return fmt.Sprintf("admitted: %d of %d in flight", s.InFlight, s.Limit)
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

// messageIn is the message as the edge, or the egress, would hand it on.
func messageIn(in admin.ExplainRequest) (*policy.Message, error) {
	topical := in.Method == policy.MethodPublish || in.Method == policy.MethodSubscribe || in.Method == policy.MethodCommand
	if topical && !strings.HasPrefix(in.Path, "/") {
		in.Path = policy.TopicPath(in.Path)
	}
	u, err := url.ParseRequestURI(in.Path)
	if err != nil || !strings.HasPrefix(in.Path, "/") {
		return nil, fmt.Errorf("explain: %w: path %q: give an absolute path, with an optional query", policy.ErrInvalid, in.Path)
	}
	h := make(http.Header, len(in.Headers))
	for name, values := range in.Headers {
		h[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	transport.StripEdge(h)
	method := in.Method
	if method == "" {
		method = http.MethodGet
	}
	m := &policy.Message{
		Method: method, Host: hostOnly(in.Host), Path: u.EscapedPath(), Query: u.RawQuery, Header: h,
		Device:  policy.Device{ID: in.Device.ID, Properties: in.Device.Properties},
		Payload: []byte(in.Payload), Service: in.Service,
	}
	if strings.HasSuffix(m.Host, meshSuffix) {
		m.Device = policy.Device{} // those are not for devices
	}
	return m, nil
}

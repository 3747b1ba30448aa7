package agent

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// meshSuffix ends the host by which a local service calls a service of the
// mesh through the egress listener.
const meshSuffix = ".mesh"

// Calls that no route names the host of have one made up for them.
const (
	egressPrefix = "egress."
	egressClass  = policy.Normal
)

// serveEgress takes a request of a local service for "SERVICE.mesh", or a command
// for a device.
func (a *Agent) serveEgress(w http.ResponseWriter, r *http.Request) {
	service, ok := strings.CutSuffix(hostOnly(r.Host), meshSuffix)
	switch {
	case !ok && r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, commandPrefix):
		a.serveCommand(w, r)
		return
	case !ok || service == "":
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest,
			Detail: `call a service of the mesh as Host "SERVICE.mesh", or POST /devices/{id}/messages/{topic}`})
		return
	}
	transport.StripEdge(r.Header)
	x := &exchange{agent: a, view: a.view.Load(), w: w, r: r, started: time.Now(), service: service}
	x.message = messageOf(r, policy.Device{})
	x.begin()
	defer x.finish()
	x.run()
}

// decideEgress takes the route that names the host, else goes straight to the
// service: routes without a host are for devices.
func decideEgress(p *policy.Policy, m *policy.Message, service string, trace *policy.Trace) policy.Decision {
	d := p.Decide(m, rand.Uint64(), trace)
	if d.Route != nil && d.Route.Match.Host != "" {
		return d
	}
	s := p.Services()[service]
	if s == nil {
		trace.Pass("egress", service, "no route names the host, and no service has this name")
		return policy.Decision{Failed: d.Failed}
	}
	trace.Take("egress", service, "no route names the host: straight to the service")
	return policy.Decision{
		Failed:  d.Failed,
		Route:   &policy.Route{Name: egressPrefix + s.Name, Class: egressClass, Retry: policy.Retry{Attempts: 2}},
		Target:  policy.Target{Service: s.Name},
		Service: s,
		Timeout: s.Timeout,
		Host:    m.Host,
		Path:    m.Path,
		Query:   m.Query,
	}
}

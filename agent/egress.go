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

// serveEgress takes a request of a local service for "SERVICE.mesh".
func (a *Agent) serveEgress(w http.ResponseWriter, r *http.Request) {
	service, ok := strings.CutSuffix(hostOnly(r.Host), meshSuffix)
	if !ok || service == "" {
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest,
			Detail: `call a service of the mesh as Host "SERVICE.mesh"`})
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
func (x *exchange) decideEgress() policy.Decision {
	d := x.view.Policy.Decide(&x.message, rand.Uint64(), nil)
	if d.Route != nil && d.Route.Match.Host != "" {
		return d
	}
	s := x.view.Policy.Services()[x.service]
	if s == nil {
		return policy.Decision{Failed: d.Failed}
	}
	return policy.Decision{
		Failed:  d.Failed,
		Route:   &policy.Route{Name: "egress." + s.Name, Class: policy.Normal, Retry: policy.Retry{Attempts: 2}},
		Target:  policy.Target{Service: s.Name},
		Service: s,
		Timeout: s.Timeout,
		Host:    x.message.Host,
		Path:    x.message.Path,
		Query:   x.message.Query,
	}
}

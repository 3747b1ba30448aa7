package agent

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidegate/tidegate/agent/admin"
)

// localServer is a plain HTTP server for this machine: admin, ready or egress.
type localServer struct {
	listener net.Listener
	server   *http.Server
}

func (s *localServer) serve() { _ = s.server.Serve(s.listener) }
func (s *localServer) close() { _ = s.server.Close() }

func (a *Agent) makeLocal() {
	metrics := promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{})
	control := a.cfg.Listeners.Admin
	guard := admin.Guard{Token: control.Token.Reveal(), Hosts: control.Hosts}
	a.addLocal(a.sockets.admin, guard.Wrap(admin.NewHandler(a, metrics, a.opts.Faults, a.operator)))
	if a.sockets.ready != nil {
		a.addLocal(a.sockets.ready, admin.NewReadyHandler(a))
	}
	if a.sockets.egress != nil {
		// Authorization is the called service's; a proxy's own is hop-by-hop.
		guard := admin.Guard{Token: a.cfg.Listeners.Egress.Token.Reveal(), Clients: a.cfg.Listeners.Egress.ClientTokens(), Header: "Proxy-Authorization", AnyHost: true}
		a.egress = a.addLocal(a.sockets.egress, guard.Wrap(http.HandlerFunc(a.serveEgress)))
	}
}

func (a *Agent) addLocal(l net.Listener, h http.Handler) *localServer {
	s := &localServer{listener: l, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}}
	a.local = append(a.local, s)
	return s
}

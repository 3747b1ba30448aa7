package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/net/netutil"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/fault"
)

// faults are those that this agent takes: of its own control API for the whole
// mesh, and of other agents, on a port that no fault touches.
type faults struct {
	agent  *Agent
	book   *inject.Book
	server *http.Server
	listen net.Listener
	port   string
}

// mostFaultConns bounds who speaks of faults at a time, strangers included until
// they show no certificate.
const mostFaultConns = 256

// makeFaults opens the agent to faults, when its configuration does.
func (a *Agent) makeFaults() {
	if !a.cfg.Fault.Enabled {
		return
	}
	f := &faults{agent: a, listen: netutil.LimitListener(a.sockets.fault, mostFaultConns)}
	_, f.port, _ = net.SplitHostPort(f.listen.Addr().String())
	f.book = inject.NewBook(a.conditions.Begin, a.log)
	mux := http.NewServeMux()
	admin.AddFaults(mux, f.book, a.cfg.Fault.Token.Reveal())
	f.server = &http.Server{Handler: mux, TLSConfig: a.mesh.ServerTLS("http/1.1"), ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	a.faults, a.opts.Faults, a.operator = f, f, a.cfg.Fault.Token.Reveal()
}

func (f *faults) serve() { _ = f.server.ServeTLS(f.listen, "", "") } // http.ErrServerClosed

func (f *faults) close() {
	_ = f.server.Close()
	_ = f.listen.Close() // where it was never served
	f.book.Close()
}

// crash ends the process as a crash would, once it has answered.
func crash() {
	time.AfterFunc(100*time.Millisecond, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
}

// openToFaults has the sockets obey the agent's conditions.
func (a *Agent) openToFaults() Network {
	network := a.conditions.Network
	self, _ := netip.ParseAddrPort(a.sockets.meshAdvertise) // a name: connections stand for themselves
	return Network{
		Packet:   func(c *net.UDPConn) net.PacketConn { return fault.PacketConn(c, network) },
		Listener: func(l net.Listener) net.Listener { return fault.Listener(l, network) },
		Dial:     fault.Dialer((&net.Dialer{}).DialContext, self, network),
		Memberlist: func(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
			return fault.Memberlist(t, network)
		},
	}
}

// Faults lists those in force here, oldest first.
func (f *faults) Faults() []admin.ActiveFault { return f.book.Faults() }

// AddFault puts a fault in force at every agent that it concerns, or at none.
func (f *faults) AddFault(ctx context.Context, in admin.Fault) error {
	if err := f.check(&in); err != nil {
		return err
	}
	f.agent.learnPlaces()
	if err := f.book.AddFault(ctx, in); err != nil {
		return err
	}
	err := f.spread(ctx, &in)
	if err != nil {
		_ = f.book.RemoveFault(context.WithoutCancel(ctx), in.ID)
	}
	return err
}

// RemoveFault ends a fault everywhere. Where an agent could not be told, it goes
// on until its time is over, and the error says so.
func (f *faults) RemoveFault(ctx context.Context, id string) error {
	here := f.book.RemoveFault(ctx, id)
	_, failed := f.tellAll(ctx, f.others(), http.MethodDelete, pathOf(id), nil)
	var missed []error
	for m, err := range failed {
		if m.State == "alive" {
			missed = append(missed, err)
		}
	}
	if err := errors.Join(missed...); err != nil {
		return fmt.Errorf("fault %q is over but where an agent could not be told: it ends there by itself: %w", id, err)
	}
	return here
}

// check finds names that the mesh does not know.
func (f *faults) check(in *admin.Fault) error {
	if err := in.Check(); err != nil {
		return err
	}
	members := f.agent.Members().Members
	for _, name := range []string{in.Region, in.From, in.To} {
		if name != "" && !has(members, func(m *admin.Member) bool { return m.Region == name }) {
			return fmt.Errorf("%w: no region %q is known", policy.ErrInvalid, name)
		}
	}
	if in.Agent != "" && !has(members, func(m *admin.Member) bool { return m.Name == in.Agent }) {
		return fmt.Errorf("%w: no agent %q is known", policy.ErrInvalid, in.Agent)
	}
	if in.Kind == admin.FaultAgentCrash && in.Agent == f.agent.cfg.Name {
		return fmt.Errorf("%w: %s cannot crash itself and answer: ask another agent", policy.ErrInvalid, in.Agent)
	}
	v := f.agent.view.Load()
	if in.Service != "" && v.Policy != nil && v.Policy.Services()[in.Service] == nil {
		return fmt.Errorf("%w: the policy knows no service %q", policy.ErrInvalid, in.Service)
	}
	return nil
}

func has(members []admin.Member, sign func(*admin.Member) bool) bool {
	for i := range members {
		if sign(&members[i]) {
			return true
		}
	}
	return false
}

// learnPlaces tells the conditions where agents are, for faults by region.
func (a *Agent) learnPlaces() {
	found := map[netip.AddrPort]string{}
	for _, m := range a.Members().Members {
		for _, text := range []string{m.MeshAddr, m.EdgeAddr, m.GossipAddr} {
			if addr, err := netip.ParseAddrPort(text); err == nil {
				found[addr] = m.Region
			}
		}
	}
	a.conditions.Learn(found)
}

// BeginFault brings about this agent's part of a fault, for a development mesh,
// whose faults are its own.
func (a *Agent) BeginFault(f admin.Fault) (inject.End, error) { return a.conditions.Begin(f) }

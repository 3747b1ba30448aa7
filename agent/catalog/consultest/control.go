package consultest

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func (s *Server) run() {
	s.t.Helper()
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatalf("open log of consul %s: %v", s.cfg.DC, err)
	}
	defer log.Close()
	cmd := exec.Command(s.binary, "agent", "-config-file="+s.path("consul.json"))
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, ownEnv()
	dieWithParent(cmd)
	if s.proc, err = start(cmd); err != nil {
		s.t.Fatalf("start consul %s: %v", s.cfg.DC, err)
	}
}

// ownEnv keeps the tester's CONSUL_* settings from the server.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CONSUL_") })
}

// Kill ends the server with SIGKILL, as a power cut does. Killing a dead one
// does nothing.
func (s *Server) Kill() { s.proc.signal(syscall.SIGKILL, 10*time.Second) }

// Stop asks the server to end, as a service manager does; it stays a member that
// is expected back.
func (s *Server) Stop() { s.proc.signal(syscall.SIGINT, 10*time.Second) }

// Pause freezes the server: it keeps its connections and answers nothing. It
// returns once that is so.
func (s *Server) Pause() {
	s.t.Helper()
	s.proc.cmd.Process.Signal(syscall.SIGSTOP)
	Eventually(s.t, 10*time.Second, "consul "+s.cfg.DC+" is frozen", func() bool { return !s.answers() })
}

// answers says whether the server answers within a moment.
func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	var q api.QueryOptions
	_, err := s.client.Status().LeaderWithQueryOptions(q.WithContext(ctx))
	return err == nil
}

// Resume ends a Pause.
func (s *Server) Resume() { s.proc.cmd.Process.Signal(syscall.SIGCONT) }

// Restart runs a dead server again, on the same ports with the data it had,
// and waits until it leads.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.run()
	s.WaitLeader()
}

// RestartEmpty is Restart after the loss of all data.
func (s *Server) RestartEmpty() {
	s.t.Helper()
	s.Kill()
	if err := os.RemoveAll(s.dataDir()); err != nil {
		s.t.Fatalf("empty consul %s: %v", s.cfg.DC, err)
	}
	s.Restart()
}

// JoinWAN joins this server to others and waits until it knows their
// datacenters.
func (s *Server) JoinWAN(others ...*Server) {
	s.t.Helper()
	var dcs []string
	for _, o := range others {
		if err := s.client.Agent().Join(o.WANAddr(), true); err != nil {
			s.t.Fatalf("join consul %s to %s over WAN: %v", s.cfg.DC, o.cfg.DC, err)
		}
		dcs = append(dcs, o.cfg.DC)
	}
	s.WaitDatacenters(dcs...)
}

// WaitLeader waits until the server leads and takes writes.
func (s *Server) WaitLeader() {
	s.t.Helper()
	Eventually(s.t, leaderWithin, "consul "+s.cfg.DC+" leads", func() bool {
		if s.proc.exited() {
			s.t.Fatalf("consul %s ended by itself:\n%s", s.cfg.DC, s.Log())
		}
		leader, err := s.client.Status().Leader()
		if err != nil || leader == "" {
			return false
		}
		nodes, _, err := s.client.Catalog().Nodes(nil) // the leader has registered itself
		return err == nil && len(nodes) > 0
	})
}

// WaitDatacenters waits until the server can route to all of dcs.
func (s *Server) WaitDatacenters(dcs ...string) {
	s.t.Helper()
	Eventually(s.t, leaderWithin, "consul "+s.cfg.DC+" knows "+strings.Join(dcs, ", "), func() bool {
		known, err := s.client.Catalog().Datacenters()
		if err != nil {
			return false
		}
		for _, dc := range dcs {
			if !slices.Contains(known, dc) {
				return false
			}
		}
		return true
	})
}

// Eventually polls holds, every 20 ms, until it is true; it fails the test with
// what was waited for when that takes longer than within.
func Eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-tick.C
	}
}

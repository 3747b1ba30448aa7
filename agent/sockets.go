package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/transport"
)

// ErrSocket is the kind of every failure to open an address.
var ErrSocket = errors.New("cannot listen")

// SocketError says which listener could not be opened, and why. Its kind is
// ErrSocket.
type SocketError struct {
	Key  string // in the configuration, as "listeners.edge"
	Addr string
	Err  error
}

// Error says what to do as well.
func (e *SocketError) Error() string {
	return fmt.Sprintf("%s: %v on %s: %v: free the address or choose another", e.Key, ErrSocket, e.Addr, e.Err)
}

// Unwrap returns the kind and the cause.
func (e *SocketError) Unwrap() []error { return []error{ErrSocket, e.Err} }

// sockets are all the addresses of an agent but those of gossip, opened before
// anything starts so that a taken port stops the agent whole.
type sockets struct {
	edgeUDP *net.UDPConn
	edgeTCP net.Listener
	meshUDP *net.UDPConn
	meshTCP net.Listener // nil: off
	admin   net.Listener
	mqtt    net.Listener // nil: off
	ready   net.Listener // nil: off
	egress  net.Listener // nil: off
	fault   net.Listener // nil: off

	edgeAdvertise string
	meshAdvertise string
	wanAdvertise  string
}

func openSockets(ctx context.Context, c *config.Config, log *slog.Logger) (*sockets, error) {
	s := &sockets{}
	err := s.open(ctx, c.Listeners, log)
	if err == nil && c.Fault.Enabled {
		s.fault, err = openTCP(ctx, "fault", c.Fault.Addr)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sockets) open(ctx context.Context, c config.Listeners, log *slog.Logger) (err error) {
	if s.edgeUDP, s.edgeTCP, err = openPair(ctx, "listeners.edge", c.Edge.Addr, true, log); err != nil {
		return err
	}
	// Small buffers are a matter of the system: the first socket has said it.
	if s.meshUDP, s.meshTCP, err = openPair(ctx, "listeners.mesh", c.Mesh.Addr, c.Mesh.TCP, nil); err != nil {
		return err
	}
	if err = checkFree(ctx, "listeners.lan", c.LAN.Addr); err != nil {
		return err
	}
	if err = checkFree(ctx, "listeners.wan", c.WAN.Addr); err != nil {
		return err
	}
	if s.admin, err = openControl(ctx, "listeners.admin", c.Admin); err != nil {
		return err
	}
	if c.MQTT != nil {
		if s.mqtt, err = openTCP(ctx, "listeners.mqtt", c.MQTT.Addr); err != nil {
			return err
		}
	}
	if c.Ready != nil {
		if s.ready, err = openTCP(ctx, "listeners.ready", c.Ready.Addr); err != nil {
			return err
		}
	}
	if c.Egress != nil {
		if s.egress, err = openControl(ctx, "listeners.egress", *c.Egress); err != nil {
			return err
		}
	}
	return s.advertise(c)
}

func (s *sockets) advertise(c config.Listeners) (err error) {
	if s.edgeAdvertise, err = bound(c.Edge.AdvertiseAddr, s.edgeUDP); err != nil {
		return err
	}
	if s.meshAdvertise, err = bound(c.Mesh.AdvertiseAddr, s.meshUDP); err != nil {
		return err
	}
	s.wanAdvertise, err = c.WAN.AdvertiseAddr()
	return err
}

// bound is the advertised address with the port that was really opened when
// the configuration left the choice open (port 0).
func bound(advertise func() (string, error), conn *net.UDPConn) (string, error) {
	addr, err := advertise()
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return addr, err
	}
	_, port, err = net.SplitHostPort(conn.LocalAddr().String())
	return net.JoinHostPort(host, port), err
}

// pairAttempts is how often a pair is opened on port 0: the number that is free
// for UDP may be taken for TCP.
const pairAttempts = 10

// openPair opens UDP and, when asked, TCP of the same number.
func openPair(ctx context.Context, key, addr string, tcp bool, log *slog.Logger) (udp *net.UDPConn, l net.Listener, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, socketError(key, addr, err)
	}
	for attempt := 1; ; attempt++ {
		if udp, err = transport.ListenUDP(ctx, addr, log); err != nil {
			return nil, nil, socketError(key, addr, err)
		}
		if !tcp {
			return udp, nil, nil
		}
		_, opened, _ := net.SplitHostPort(udp.LocalAddr().String())
		if l, err = openTCP(ctx, key, net.JoinHostPort(host, opened)); err == nil {
			return udp, l, nil
		}
		_ = udp.Close()
		if port != "0" || attempt == pairAttempts {
			return nil, nil, err
		}
	}
}

func openTCP(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, socketError(key, addr, err)
	}
	return l, nil
}

// openControl opens an address, or a unix socket that only this user may use.
func openControl(ctx context.Context, key string, c config.Control) (net.Listener, error) {
	if c.Socket == "" {
		return openTCP(ctx, key, c.Addr)
	}
	if err := removeStale(c.Socket); err != nil {
		return nil, socketError(key, c.Socket, err)
	}
	lc := net.ListenConfig{Control: ownerOnly}
	l, err := lc.Listen(ctx, "unix", c.Socket)
	if err != nil {
		return nil, socketError(key, c.Socket, err)
	}
	if err := os.Chmod(c.Socket, 0o600); err != nil {
		_ = l.Close()
		return nil, socketError(key, c.Socket, err)
	}
	return l, nil
}

// ownerOnly makes a unix socket appear with mode 0600, where the system takes
// a socket file's mode from the descriptor (Linux): no moment is left in which
// others could connect.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return failed
}

// removeStale removes a socket that a killed agent left; one that still
// answers belongs to a living agent.
func removeStale(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket: remove it or name another", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another process listens there")
	}
	return os.Remove(path)
}

func socketError(key, addr string, err error) error { return &SocketError{key, addr, err} }

// checkFree finds out early that an address is taken which gossip opens later.
func checkFree(ctx context.Context, key, addr string) error {
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return socketError(key, addr, err)
	}
	defer udp.Close()
	tcp, err := openTCP(ctx, key, addr)
	if err != nil {
		return err
	}
	return tcp.Close()
}

// close closes what no other part has taken over; closing twice is harmless.
func (s *sockets) close() {
	if s == nil {
		return
	}
	if s.edgeUDP != nil {
		_ = s.edgeUDP.Close()
	}
	if s.meshUDP != nil {
		_ = s.meshUDP.Close()
	}
	for _, l := range []net.Listener{s.edgeTCP, s.meshTCP, s.mqtt, s.admin, s.ready, s.egress, s.fault} {
		if l != nil {
			_ = l.Close()
		}
	}
}

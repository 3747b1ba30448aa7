package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// Server keeps the sessions of one agent. Its methods are safe for concurrent
// use.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	began   time.Time
	life    context.Context // ends with Close
	end     context.CancelFunc
	working sync.WaitGroup // connections, lanes, wills; grows from nothing only with mu held

	mu       sync.Mutex // guards what follows
	sessions map[sessionKey]*session
	devices  map[string]*session // by device, the first of a list
	kept     map[string]int      // sessions without a connection, by device
	keptAll  int
	conns    map[*conn]struct{}
	draining bool
}

// New returns a server, or an error of kind [ErrConfig] or from the metrics
// registry.
func New(cfg Config) (*Server, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if err := cfg.Limits.check(); err != nil {
		return nil, err
	}
	if cfg.Elsewhere == nil {
		cfg.Elsewhere = func() string { return "" }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("MQTT metrics: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, metrics: m, began: time.Now(),
		sessions: map[sessionKey]*session{}, devices: map[string]*session{}, kept: map[string]int{}, conns: map[*conn]struct{}{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Link is what a server needs of a connection that was accepted.
type Link struct {
	net.Conn
	TLS *tls.ConnectionState
	// Silence is how long the connection itself bears silence; devices that can be
	// told are to be heard more often. 0: for any time.
	Silence time.Duration
	// Known is told the device once it showed who it is, before anything is
	// taken from it; an error refuses it. Nil: nobody wants to know.
	Known func(policy.Device) error
}

// Serve speaks MQTT on a connection until it ends, and closes it. The link is
// the server's from then on.
func (s *Server) Serve(l *Link) {
	c := newConn(s, l)
	if s.add(c) {
		c.run() // and survives what it panics for
		s.remove(c)
	}
	c.close()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.conns[c] = struct{}{}
	s.working.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.working.Done()
}

// moveTimeout bounds how long a device that has to leave waits for what it sent to
// be acknowledged.
const moveTimeout = 10 * time.Second

// Move has up to n devices leave for another agent, as Shutdown does with all, and
// returns how many; 0: none is left. Sessions stay for their time.
func (s *Server) Move(n int) (moved int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if moved == n {
			break
		}
		if !c.moving {
			c.moving = true
			moved++
			s.working.Go(func() {
				ctx, cancel := context.WithTimeout(s.life, moveTimeout)
				defer cancel()
				c.drain(ctx)
			})
		}
	}
	return moved
}

// Staying returns how many connections have not been told to leave.
func (s *Server) Staying() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.moving {
			n++
		}
	}
	return n
}

// Shutdown drains: nothing more is read, what was read is acknowledged once it
// was taken, then every device is told to go (MQTT 5: use another server, or server
// shutting down where none is known). No wills are sent, since the devices live. It returns when all is done, or with
// the context's error when that ends first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	var left sync.WaitGroup
	for _, c := range open {
		left.Go(func() { c.drain(ctx) })
	}
	left.Wait()
	return ctx.Err()
}

// Close ends everything at once. No wills are sent.
func (s *Server) Close() {
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		s.working.Go(c.close) // each on its own: one whose device does not read takes seconds
	}
	for _, e := range s.sessions {
		e.stopTimers()
	}
	s.end()
	s.mu.Unlock()
	s.working.Wait()
	s.metrics.unregister(s.cfg.Metrics)
}

// wait sleeps, unless the server closes first.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.life.Done():
		return false
	case <-t.C:
		return true
	}
}

package mqtt

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
)

// sessionKey: devices share no session, whatever client identifier they choose.
type sessionKey struct{ device, client string }

// session is what outlives a connection: which messages are under way and which
// are acknowledged. Whether it has a connection changes with both the server's
// lock and its own held, in this order.
type session struct {
	srv    *Server
	key    sessionKey
	device policy.Device
	id     string // part of the ids of its messages

	mu          sync.Mutex // guards what follows
	conn        *conn      // nil: away
	over        bool       // never to be resumed
	keep        time.Duration
	expire      *time.Timer // runs while it is away
	will        *time.Timer // the same, of a will that is delayed
	lastWill    *will
	deliveries  map[uint16]*delivery // of QoS 1 and 2, by packet identifier
	lanes       map[string]*lane     // by topic; only those with something to do
	told        []*delivery          // acknowledged and remembered, the oldest first
	outstanding int
	bytes       int
	made        uint64    // ids
	barred      time.Time // not to come back before
}

// open finds or makes the session of a connection and takes it over from the
// connection that has it, which ends. busy: the device shall come back later.
func (s *Server) open(c *conn, key sessionKey, d policy.Device, clean bool, expiry time.Duration) (present, busy bool) {
	s.mu.Lock()
	e, old := s.sessions[key], (*conn)(nil)
	if e != nil {
		e.mu.Lock()
		if wait := time.Until(e.barred); wait > 0 {
			e.mu.Unlock()
			s.mu.Unlock()
			return false, true
		}
		old = e.detach()
		if clean {
			e.over = true
		} else {
			present = true
			e.cancelWill()
			e.conn, e.device, e.keep = c, d, expiry
		}
		e.mu.Unlock()
	}
	if !present {
		e = &session{srv: s, key: key, device: d, id: rand.Text(), conn: c, keep: expiry, deliveries: map[uint16]*delivery{}, lanes: map[string]*lane{}}
		s.sessions[key] = e
	}
	c.session = e
	s.mu.Unlock()
	if old != nil {
		s.metrics.takenOver.Inc()
		old.dismiss(packets.ErrSessionTakenOver)
	}
	return present, false
}

// detach takes the session from its connection, if it has one, or out of those
// that are away. Both locks are held.
func (e *session) detach() (old *conn) {
	if old, e.conn = e.conn, nil; old == nil {
		e.srv.kept--
	}
	if e.expire != nil {
		e.expire.Stop()
		e.expire = nil
	}
	return old
}

// release ends what a connection has of its session.
func (s *Server) release(c *conn) {
	e := c.session
	s.mu.Lock()
	e.mu.Lock()
	if mine := e.conn == c; mine {
		e.conn = nil
		s.away(e)
	}
	due := !c.ended.Load() && c.will != nil && !s.closed()
	if due && e.conn == nil && !e.over && c.will.delay > 0 {
		e.delayWill(c.will)
		due = false
	}
	e.mu.Unlock()
	if due {
		s.publishWill(e, c.will)
	}
	s.mu.Unlock()
}

// away keeps a session for its time, or ends it. Both locks are held.
func (s *Server) away(e *session) {
	keep := e.keep
	if wait := time.Until(e.barred); wait > keep {
		keep = wait
	}
	if keep <= 0 || s.kept >= s.cfg.Limits.Sessions || s.closed() {
		e.over = true
		delete(s.sessions, e.key)
		return
	}
	s.kept++
	e.expire = time.AfterFunc(keep, func() { s.expired(e) })
}

func (s *Server) expired(e *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil || e.over || e.expire == nil {
		return
	}
	s.kept--
	e.over, e.expire = true, nil
	delete(s.sessions, e.key)
	if w := e.lastWill; w != nil { // a session's end is the latest that a will waits for
		e.cancelWill()
		s.publishWill(e, w)
	}
}

func (e *session) stopTimers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expire != nil {
		e.expire.Stop()
	}
	e.cancelWill()
}

func (e *session) expiry() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keep
}

func (e *session) expireAfter(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep = d
}

// settle waits until nothing is under way, or the context ends.
func (e *session) settle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for e.underWay() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *session) underWay() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.lanes) > 0
}

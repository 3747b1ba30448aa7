package mqtt

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
)

// sessionKey: devices share no session, whatever client identifier they choose.
type sessionKey struct{ device, client string }

// keptPerDevice is how many sessions of one device are kept while it is away.
const keptPerDevice = 4

// session is what outlives a connection: which messages are under way and which
// are acknowledged. Whether it has a connection changes with both the server's
// lock and its own held, in this order.
type session struct {
	srv     *Server
	key     sessionKey
	id      string // part of the ids of its messages
	seed    maphash.Seed
	sibling *session // another one of the same device; the server's lock guards it

	mu         sync.Mutex      // guards what follows
	life       context.Context // ends with the session; like the maps, made for the first message
	end        context.CancelFunc
	conn       *conn         // nil: away
	device     policy.Device // as it showed itself last
	epoch      uint64        // of the connection, or the last one
	since      time.Duration // that the connection came, after the server began
	left       time.Duration // that it went, where there is none
	out        *outbox       // nil: the device subscribed to nothing
	over       bool          // never to be resumed
	keep       time.Duration
	expire     *time.Timer // runs while it is away
	will       *time.Timer // the same, of a will that is delayed
	lastWill   *will
	deliveries map[uint16]*delivery // of QoS 1 and 2, by packet identifier
	recent     []*delivery          // accepted and remembered, the oldest first
	lanes      map[string]*lane     // only those with something to do
	count      int                  // messages under way, of any QoS
	bytes      int
	made       uint64    // ids
	barred     time.Time // not to come back before
}

// open finds or makes the session of a connection and takes it over from the
// connection that has it, which ends. busy: the device shall come back later.
func (s *Server) open(c *conn, key sessionKey, clean bool, expiry time.Duration) (present, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.sessions[key]
	if e != nil {
		e.mu.Lock()
		if wait := time.Until(e.barred); wait > 0 {
			e.mu.Unlock()
			return false, true
		}
		if old := e.detach(); old != nil {
			s.metrics.takenOver.Inc()
			s.working.Go(func() { old.dismiss(packets.ErrSessionTakenOver) })
		}
		if clean {
			s.finish(e)
		} else {
			present = true
			e.cancelWill()
			e.conn, e.keep = c, expiry
			e.rewind()
		}
		e.mu.Unlock()
	}
	if !present {
		e = s.newSession(key, expiry)
		e.conn = c
		s.enter(e)
	}
	c.session = e
	e.mu.Lock()
	e.device, e.epoch, e.since = c.device, c.epoch, time.Since(s.began)
	e.mu.Unlock()
	s.changed(e)
	return present, false
}

func (s *Server) newSession(key sessionKey, expiry time.Duration) *session {
	return &session{srv: s, key: key, id: rand.Text(), seed: maphash.MakeSeed(), keep: expiry}
}

// equip makes what a session needs that has messages: most are idle. Its lock is
// held.
func (e *session) equip() {
	if e.life != nil {
		return
	}
	e.life, e.end = context.WithCancel(e.srv.life)
	e.deliveries, e.lanes = map[uint16]*delivery{}, map[string]*lane{}
}

// finish ends a session: what is not acknowledged yet never will be, and a will
// that waits is due. Both locks are held.
func (s *Server) finish(e *session) {
	if e.over = true; e.end != nil {
		e.end()
	}
	s.leave(e)
	e.orphan()
	if w := e.lastWill; w != nil {
		e.cancelWill()
		s.publishWill(e, w)
	}
}

// detach takes the session from its connection, if it has one, or out of those
// that are away. Both locks are held.
func (e *session) detach() (old *conn) {
	if old, e.conn = e.conn, nil; old == nil {
		e.srv.unkeep(e)
	}
	if e.expire != nil {
		e.expire.Stop()
		e.expire = nil
	}
	return old
}

func (s *Server) unkeep(e *session) {
	s.keptAll--
	if s.kept[e.key.device]--; s.kept[e.key.device] == 0 {
		delete(s.kept, e.key.device)
	}
}

// release ends what a connection has of its session.
func (s *Server) release(c *conn) {
	e := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	mine := e.conn == c
	if mine {
		e.conn, e.left = nil, time.Since(s.began)
		s.away(e)
		s.changed(e)
	}
	switch w := c.will; {
	case w == nil || c.ended.Load():
	case w.delay > 0 && mine && !e.over:
		e.delayWill(w)
	case w.delay > 0 && !mine && !e.over: // the device is there
	default:
		s.publishWill(e, w)
	}
}

// away keeps a session for its time, or ends it. Both locks are held.
func (s *Server) away(e *session) {
	keep := max(e.keep, time.Until(e.barred))
	if keep <= 0 || s.keptAll >= s.cfg.Limits.Sessions || s.kept[e.key.device] >= keptPerDevice || s.draining {
		s.finish(e)
		return
	}
	s.keptAll++
	s.kept[e.key.device]++
	var timer *time.Timer
	timer = time.AfterFunc(keep, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.expire == timer { // it has not come back meanwhile
			e.expire = nil
			s.unkeep(e)
			s.finish(e)
			s.changed(e)
		}
	})
	e.expire = timer
}

func (e *session) stopTimers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expire != nil {
		e.expire.Stop()
	}
	e.cancelWill()
}

// expireAfter changes how long the session outlives its connection; false: one
// that was to end with it shall now stay.
func (e *session) expireAfter(c *conn, d time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != c {
		return true
	}
	if e.keep == 0 && d > 0 {
		return false
	}
	e.keep = d
	return true
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

package edge

import (
	"context"
	"slices"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// When draining, a connection goes once it was without requests for drainQuiet,
// by when its client has read the GOAWAY and got its answers.
const (
	drainQuiet = 500 * time.Millisecond
	drainTick  = 50 * time.Millisecond
)

// knownPatience is how many times Limits.IdleTimeout a known device may be without
// a request: what the edge keeps alive would else be there for good.
const knownPatience = 20

// lookAfter closes the HTTP/3 connections that nobody uses or that are misused;
// see Limits.IdleTimeout and Limits.HeaderTimeout.
func (s *Server) lookAfter() {
	l := s.cfg.Limits
	tick := time.NewTicker(max(min(l.IdleTimeout, l.HeaderTimeout)/4, time.Millisecond))
	defer tick.Stop()
	draining := s.drainingStarted
	for {
		select {
		case <-s.life.Done():
			return
		case <-draining:
			draining = nil
			tick.Reset(drainTick)
		case now := <-tick.C:
			for _, c := range s.tracked() {
				s.lookAt(c, now, draining == nil)
			}
		}
	}
}

func (s *Server) lookAt(c *connection, now time.Time, draining bool) {
	s.follow(c)
	if c.early.Load() && !c.isEarly() {
		s.settle(c)
	}
	quiet := c.quietFor(now)
	switch {
	case (draining || c.moving.Load()) && quiet >= drainQuiet:
		closeQUIC(c.quic, http3.ErrCodeNoError, "draining")
	case !draining && quiet >= s.patience(c):
		s.metrics.refuse(reasonQuiet)
		closeQUIC(c.quic, http3.ErrCodeNoError, "no request")
	case !c.retired.IsZero():
		s.endRetired(c, now)
	default:
		s.retireLate(c, now)
	}
}

// patience is how long a connection may be without a request.
func (s *Server) patience(c *connection) time.Duration {
	if c.shown.Load() {
		return knownPatience * s.cfg.Limits.IdleTimeout
	}
	return s.cfg.Limits.IdleTimeout
}

// follow counts a connection where its device went on (RFC 9000 section 9): to
// another network, or behind another port of its NAT.
func (s *Server) follow(c *connection) {
	at := c.quic.RemoteAddr()
	if at == c.at {
		return
	}
	s.log.Debug("device moved", "from", c.at, "to", at)
	c.at = at
	s.metrics.migrations.Inc()
	s.gate.move(&c.place, at)
}

// retireLate tells a connection to go when one of its requests has not shown its
// whole header in time. There is no access to that stream alone. GOAWAY lets the
// connection's other requests finish and moves new ones to another connection.
func (s *Server) retireLate(c *connection, now time.Time) {
	since, waits := c.headers.oldest()
	if !waits || now.Sub(s.epoch)-since < s.cfg.Limits.HeaderTimeout {
		return
	}
	s.metrics.refuse(reasonHeader)
	c.retired = now
	if c.http3 != nil {
		s.owned.Go(func() { _ = c.http3.Shutdown(s.life) })
	}
	s.endRetired(c, now)
}

// endRetired closes a connection that was told to go when its requests are
// answered, but waits for no longer than it would for one that stalls.
func (s *Server) endRetired(c *connection, now time.Time) {
	if c.active.Load() == 0 || now.Sub(c.retired) >= s.cfg.Limits.BodyIdle {
		closeQUIC(c.quic, http3.ErrCodeExcessiveLoad, "a request header did not come in time")
	}
}

// drainHTTP3 sends GOAWAY on every connection and waits until they are gone.
func (s *Server) drainHTTP3(ctx context.Context) error {
	open := slices.DeleteFunc(s.tracked(), func(c *connection) bool { return c.http3 == nil })
	results := make(chan error, len(open))
	for _, c := range open {
		go func() { results <- c.http3.Shutdown(ctx) }()
	}
	var failed error
	for range open {
		if err := <-results; err != nil {
			failed = err
		}
	}
	return failed
}

package device

import (
	"errors"
	"time"
)

// link is a connection to an agent, ready for use. Its fields belong to the
// client's loop; speakers tell it by the methods at the end.
type link struct {
	speaker
	conn      conn
	client    *Client
	place     *place
	wire      wire
	limit     int           // messages under way
	keepAlive time.Duration // that the agent asks for; 0: any
	rtt       time.Duration
	since     time.Time
	vigil     vigil

	flying  map[*entry]time.Time // when they were sent
	bytes   int                  // of them
	audit   time.Time            // when to look for late acknowledgements again
	leaving bool                 // nothing more is sent
	why     error                // it leaves
	fades   time.Time            // since when another link is in use
	gone    bool
}

// speaker is a protocol on a connection. Its methods return at once, but for
// close.
type speaker interface {
	// send begins to send a message; link.answer tells the outcome.
	send(*entry, *Message)
	// ping has the agent give a sign of life.
	ping()
	// begin starts it, once the link is in use.
	begin()
	// close ends the connection, politely: saying goodbye.
	close(politely bool)
}

// landed says that a message is no longer under way here.
func (l *link) landed(e *entry) {
	delete(l.flying, e)
	l.bytes -= e.size
	e.link = nil
}

// overdue says whether an acknowledgement is late. It looks now and then.
func (l *link) overdue(now time.Time, timeout time.Duration) bool {
	if now.Before(l.audit) {
		return false
	}
	l.audit = time.Time{}
	for _, sent := range l.flying {
		if now.Sub(sent) >= timeout {
			return true
		}
		l.audit = now.Add(timeout / 4)
	}
	return false
}

// answer tells what became of a message.
func (l *link) answer(e *entry, o outcome) {
	l.client.do(func() { l.client.answered(l, e, o) })
}

// over tells that the connection has ended.
func (l *link) over(why error) {
	l.client.do(func() { l.client.lost(l, why, time.Now()) })
}

// leave tells that the agent wants the device to go.
func (l *link) leave(w farewell) {
	l.client.do(func() { l.client.dismissed(l, w) })
}

// farewell is why an agent sends a device away, and where.
type farewell struct {
	why    error
	server string        // server reference; empty: anywhere else
	pause  time.Duration // before it comes back
}

// subscribed tells whether commands are offered.
func (l *link) subscribed(err error) {
	l.client.do(func() { l.client.offered(l, err) })
}

func (c *Client) offered(l *link, err error) {
	s := *c.state.Load()
	if c.link != l || err == nil && !errors.Is(s.Err, ErrSubscription) {
		return
	}
	c.cfg.Logger.Info("commands", "endpoint", l.place.Addr, "offered", err == nil, "error", err)
	s.Err = err
	c.show(s)
}

package mqtt

import (
	"crypto/rand"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// will is the message that a device leaves for when it goes without a word.
type will struct {
	pub   *Publication
	delay time.Duration
}

func (c *conn) willOf(p *packets.Packet) *will {
	if !p.Connect.WillFlag {
		return nil
	}
	properties := &p.Connect.WillProperties
	pub := c.publication(p.Connect.WillTopic, p.Connect.WillPayload, p.Connect.WillQos, properties)
	return &will{pub: pub, delay: time.Duration(properties.WillDelayInterval) * time.Second}
}

// delayWill publishes a will unless the session is resumed before. The session's
// lock is held.
func (e *session) delayWill(w *will) {
	e.lastWill = w
	e.will = time.AfterFunc(min(w.delay, max(e.keep, 0)), func() {
		e.mu.Lock()
		due := e.lastWill == w
		if due {
			e.lastWill, e.will = nil, nil
		}
		e.mu.Unlock()
		if due {
			e.srv.mu.Lock()
			e.srv.publishWill(e, w)
			e.srv.mu.Unlock()
		}
	})
}

// cancelWill forgets a will that waits. The session's lock is held.
func (e *session) cancelWill() {
	if e.will != nil {
		e.will.Stop()
	}
	e.will, e.lastWill = nil, nil
}

// willTries is how often a will is offered where nobody takes it.
const willTries = 5

// publishWill hands a will over, elsewhere. The server's lock is held.
func (s *Server) publishWill(e *session, w *will) {
	if s.draining {
		return
	}
	if w.pub.Received = s.cfg.Now(); w.pub.ID == "" {
		w.pub.ID = e.id + "-will-" + rand.Text()
	}
	s.working.Go(func() {
		for range willTries {
			v := s.hand(s.life, w.pub)
			s.metrics.published(w.pub.QoS, v.Result)
			if v.Result == Accepted || v.Result == Refused || !s.wait(v.pause()) {
				return
			}
		}
	})
}

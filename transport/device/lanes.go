package device

import (
	"cmp"
	"slices"
	"time"
)

// entry is a message in the outbox. But for what Publish waits for it belongs to
// the client's loop.
type entry struct {
	seq     uint64
	id      string
	topic   string
	size    int
	expires time.Time
	msg     *Message   // nil: in the file
	done    chan error // nil: nobody waits

	tries   int    // that failed
	link    *link  // it is under way on; nil: it waits
	settled bool   // it left the outbox
	place   *place // whose MQTT session knows it by packet
	packet  uint16
}

func (e *entry) expired(now time.Time) bool { return !e.expires.IsZero() && !now.Before(e.expires) }

// lanes are the messages that wait to be sent, by topic, each in order. Topics
// take turns.
type lanes struct {
	perTopic int
	byTopic  map[string]*lane
	ready    []*lane // have a message that may be sent, in the order of their turns
	held     []*lane // wait for their time
}

type lane struct {
	topic     string
	queue     []*entry // by seq
	underWay  int
	notBefore time.Time
	listed    bool // in ready or held
}

func newLanes(perTopic int) *lanes {
	return &lanes{perTopic: perTopic, byTopic: map[string]*lane{}}
}

// add puts a message in its place among those that wait.
func (l *lanes) add(e *entry) {
	la := l.byTopic[e.topic]
	if la == nil {
		la = &lane{topic: e.topic}
		l.byTopic[e.topic] = la
	}
	at, _ := slices.BinarySearchFunc(la.queue, e, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	la.queue = slices.Insert(la.queue, at, e)
	l.list(la)
}

// list has a lane take its turn if there is something to send.
func (l *lanes) list(la *lane) {
	switch {
	case la.listed:
	case len(la.queue) == 0 && la.underWay == 0:
		delete(l.byTopic, la.topic)
	case len(la.queue) == 0 || la.underWay >= l.perTopic:
	case la.notBefore.IsZero():
		la.listed = true
		l.ready = append(l.ready, la)
	default:
		la.listed = true
		l.held = append(l.held, la)
	}
}

// next takes a message that may be sent now; nil: there is none.
func (l *lanes) next(now time.Time) *entry {
	l.release(now)
	for len(l.ready) > 0 {
		la := l.ready[0]
		l.ready = l.ready[1:]
		la.listed = false
		e := la.pop()
		if e != nil {
			la.underWay++
		}
		l.list(la)
		if e != nil {
			return e
		}
	}
	return nil
}

// pop takes the first message that is still in the outbox.
func (la *lane) pop() *entry {
	for len(la.queue) > 0 {
		e := la.queue[0]
		la.queue[0] = nil
		la.queue = la.queue[1:]
		if !e.settled {
			return e
		}
	}
	return nil
}

func (l *lanes) release(now time.Time) {
	l.held = slices.DeleteFunc(l.held, func(la *lane) bool {
		if la.notBefore.After(now) {
			return false
		}
		la.notBefore = time.Time{}
		l.ready = append(l.ready, la)
		return true
	})
}

// due is when a lane that waits may go on; zero: none waits.
func (l *lanes) due() (at time.Time) {
	for _, la := range l.held {
		at = earlier(at, la.notBefore)
	}
	return at
}

// done says that a message is no longer under way.
func (l *lanes) done(e *entry) {
	if la := l.byTopic[e.topic]; la != nil {
		la.underWay--
		l.list(la)
	}
}

// again puts a message back that was under way, not to be sent before a time.
// What comes after it on its topic waits as well.
func (l *lanes) again(e *entry, notBefore time.Time) {
	la := l.byTopic[e.topic]
	la.underWay--
	la.notBefore = later(la.notBefore, notBefore)
	if la.listed && !la.notBefore.IsZero() { // its turn is later
		l.ready = slices.DeleteFunc(l.ready, func(other *lane) bool { return other == la })
		l.held = slices.DeleteFunc(l.held, func(other *lane) bool { return other == la })
		la.listed = false
	}
	l.add(e)
}

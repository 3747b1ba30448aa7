package fault

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// inbox holds packets that were read but are not due yet. The reader itself
// wakes for them, by the socket's read deadline: no goroutine is needed.
type inbox struct {
	setInner func(time.Time) error

	mu       sync.Mutex // guards what follows and the socket's read deadline
	queue    queue[incoming]
	deadline time.Time // what the user asked for
	armed    time.Time // what the socket has
}

type incoming struct {
	data, oob []byte
	flags     int
	from      net.Addr
}

func (b *inbox) setDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = t
	return b.arm()
}

// prepare sets the socket to wake for the user's deadline or the next packet.
func (b *inbox) prepare() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.arm()
}

func (b *inbox) arm() error {
	wake := b.deadline
	if due, any := b.queue.next(); any && (wake.IsZero() || due.Before(wake)) {
		wake = due
	}
	if wake.Equal(b.armed) {
		return nil
	}
	b.armed = wake
	return b.setInner(wake)
}

func (b *inbox) expired(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deadline.IsZero() && !now.Before(b.deadline)
}

func (b *inbox) hold(m *ipv4.Message, delay time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.put(time.Now().Add(delay), incoming{
		data: bytes.Clone(m.Buffers[0][:m.N]), oob: bytes.Clone(m.OOB[:m.NN]), flags: m.Flags, from: m.Addr,
	})
}

func (b *inbox) take(now time.Time) (incoming, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.take(now)
}

var errOneBuffer = errors.New("a batch needs one buffer in each message")

// ReadBatch fills messages as ipv4.PacketConn.ReadBatch does, with one buffer
// each; it returns at least one, or an error.
func (c *packetConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for i := range ms {
		if len(ms[i].Buffers) != 1 {
			return 0, errOneBuffer
		}
	}
	for {
		if n := c.deliverDue(ms); n > 0 {
			return n, nil
		}
		if err := c.in.prepare(); err != nil {
			return 0, err
		}
		n, err := c.batch.ReadBatch(ms, flags)
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.in.expired(time.Now()) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if n = c.admit(ms[:n]); n > 0 {
			return n, nil
		}
	}
}

func (c *packetConn) deliverDue(ms []ipv4.Message) int {
	n := 0
	for n < len(ms) {
		p, ok := c.in.take(time.Now())
		if !ok {
			break
		}
		if f := c.sw.judge(addrPort(p.from), c.self, receiving); !f.cut() {
			fill(&ms[n], p.data, p.oob, p.flags, p.from)
			n++
		}
	}
	return n
}

// admit keeps the messages that no rule takes away, moved to the front, and
// returns how many. Contents are copied, not messages: quic-go pairs each
// message with the pooled buffer it handed in at that place.
func (c *packetConn) admit(ms []ipv4.Message) int {
	kept := 0
	for i := range ms {
		f := c.sw.judge(addrPort(ms[i].Addr), c.self, receiving)
		switch {
		case f.lost():
		case f.delay > 0:
			c.in.hold(&ms[i], f.delay)
		default:
			if kept != i {
				m := &ms[i]
				fill(&ms[kept], m.Buffers[0][:m.N], m.OOB[:m.NN], m.Flags, m.Addr)
			}
			kept++
		}
	}
	return kept
}

func fill(m *ipv4.Message, data, oob []byte, flags int, from net.Addr) {
	m.N = copy(m.Buffers[0], data)
	m.NN = copy(m.OOB, oob)
	m.Flags, m.Addr = flags, from
}

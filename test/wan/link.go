//go:build linux

package wan

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"
)

// link carries packets from one region to another. Whoever reads them offers
// them; its own goroutine delivers each when it is due.
type link struct {
	from, to *Region
	back     *os.File // to the sender: answers about packets too big
	original Profile  // as Config.Setup left it
	alarm    *alarm   // for the first packet due

	mu      sync.Mutex // guards what follows, and setting the alarm
	stopped bool
	profile Profile
	chance  chance
	wander  wander
	held    schedule
	bytes   int       // in held
	idle    time.Time // when all that waits for the rate has left
	last    time.Time // no packet that keeps its place is due before
	count   Counters
}

// Counters of one direction, in packets.
type Counters struct {
	Offered    uint64 `json:"offered"`
	Delivered  uint64 `json:"delivered"` // duplicates and fragments counted too
	Lost       uint64 `json:"lost"`      // by chance
	Cut        uint64 `json:"cut"`
	Overflow   uint64 `json:"overflow"` // no room in the queue
	TooBig     uint64 `json:"too_big"`  // answered with ICMP
	Duplicated uint64 `json:"duplicated"`
	Reordered  uint64 `json:"reordered"` // held back
}

// maxHeld bounds the bytes under way.
const maxHeld = 64 << 20

func newLink(from, to *Region, seed uint64) (*link, error) {
	alarm, err := newAlarm()
	if err != nil {
		return nil, err
	}
	name := fnv.New64a()
	name.Write([]byte(from.Name + "\x00" + to.Name)) // never fails (hash.Hash)
	dice := func(part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, name.Sum64()+part)) }
	return &link{
		from: from, to: to, back: from.tun, alarm: alarm,
		chance: chance{dice: dice(0)}, wander: wander{dice: dice(1)},
	}, nil
}

// change alters the profile for packets that come from now on; one that makes no
// sense alters nothing.
func (l *link) change(alter func(*Profile)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.profile
	alter(&next)
	if err := next.check(); err != nil {
		return err
	}
	l.profile = next
	return nil
}

// offer takes packets that were read at a moment; they are the link's from now on.
func (l *link) offer(packets [][]byte, now time.Time) {
	for _, answer := range l.takeAll(packets, now) {
		_, _ = l.back.Write(answer) // a lost answer is a lost packet
	}
}

func (l *link) takeAll(packets [][]byte, now time.Time) (answers [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.held.first()
	for _, p := range packets {
		if answer := l.take(p, now); answer != nil {
			answers = append(answers, answer)
		}
	}
	if l.held.first() != first {
		l.setAlarm(now)
	}
	return answers
}

// setAlarm for the first packet. The caller holds mu.
func (l *link) setAlarm(now time.Time) {
	if !l.stopped && !l.held.empty() {
		l.alarm.set(l.held.first().Sub(now))
	}
}

// take decides what becomes of a packet, and returns an answer to its sender, if
// there is one. The caller holds mu.
func (l *link) take(packet []byte, now time.Time) (answer []byte) {
	p := &l.profile
	l.count.Offered++
	switch {
	case p.Cut:
		l.count.Cut++
	case p.MTU > 0 && len(packet) > p.MTU:
		fragments, answer := l.tooBig(packet)
		if answer != nil {
			l.count.TooBig++
			return answer
		}
		for _, f := range fragments {
			l.send(f, now)
		}
	default:
		l.send(packet, now)
	}
	return nil
}

func (l *link) send(packet []byte, now time.Time) {
	p := &l.profile
	if l.chance.lost(p) {
		l.count.Lost++
		return
	}
	left, ok := l.transmit(len(packet), now)
	if !ok {
		l.count.Overflow++
		return
	}
	due := left.Add(p.Delay + l.wander.stray(now, p.Jitter))
	if l.chance.happens(p.Reorder) {
		l.count.Reordered++
		due = due.Add(p.reorderBy())
	} else {
		due = later(due, l.last)
		l.last = due
	}
	l.hold(packet, due)
	if l.chance.happens(p.Duplicate) {
		l.count.Duplicated++
		l.hold(packet, due)
	}
}

// transmit says when a packet has left through the rate, or that the queue
// before it has no room.
func (l *link) transmit(size int, now time.Time) (left time.Time, ok bool) {
	p := &l.profile
	if l.bytes+size > maxHeld {
		return now, false
	}
	if p.Rate == 0 {
		return now, true
	}
	begin := later(now, l.idle)
	waiting := int(begin.Sub(now).Seconds() * float64(p.Rate) / 8)
	if waiting+size > max(p.queue(), size) {
		return now, false
	}
	l.idle = begin.Add(time.Duration(float64(size) * 8 / float64(p.Rate) * float64(time.Second)))
	return l.idle, true
}

func (l *link) hold(packet []byte, due time.Time) {
	l.bytes += len(packet)
	l.held.push(packet, due)
}

// run delivers until stop.
func (l *link) run() {
	var batch [][]byte
	for l.alarm.wait() {
		batch = l.ready(batch[:0])
		for _, p := range batch {
			_, _ = l.to.tun.Write(p) // a device that is closed has lost it
		}
		clear(batch)
	}
}

// ready takes out what is due.
func (l *link) ready(batch [][]byte) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for !l.held.empty() && !l.held.first().After(now) {
		p := l.held.pop()
		l.bytes -= len(p)
		batch = append(batch, p)
	}
	l.count.Delivered += uint64(len(batch))
	l.setAlarm(now)
	return batch
}

func (l *link) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	return l.alarm.Close()
}

func (l *link) counters() Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *link) current() Profile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.profile
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// schedule holds packets in the order they are due, those due together as they
// came. Nearly all come in that order, so that a sorted slice beats a heap.
type schedule struct{ packets []scheduled }

type scheduled struct {
	due  time.Time
	data []byte
}

func (s *schedule) empty() bool { return len(s.packets) == 0 }

// first is when the first packet is due, zero when there is none.
func (s *schedule) first() time.Time {
	if s.empty() {
		return time.Time{}
	}
	return s.packets[0].due
}

func (s *schedule) push(data []byte, due time.Time) {
	i := len(s.packets)
	for i > 0 && s.packets[i-1].due.After(due) {
		i--
	}
	s.packets = slices.Insert(s.packets, i, scheduled{due, data})
}

func (s *schedule) pop() []byte {
	data := s.packets[0].data
	s.packets[0] = scheduled{}
	s.packets = s.packets[1:]
	return data
}

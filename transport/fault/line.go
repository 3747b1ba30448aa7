package fault

import (
	"container/heap"
	"sync"
	"time"
)

// mostHeld bounds what one delay line keeps; more is lost, as in a full router.
const mostHeld = 1 << 16

// parcel is something on its way: released when due, in the order of due, then
// of arrival.
type parcel[T any] struct {
	due  time.Time
	seq  uint64
	load T
}

type parcels[T any] []parcel[T]

func (p parcels[T]) Len() int { return len(p) }
func (p parcels[T]) Less(i, j int) bool {
	if !p[i].due.Equal(p[j].due) {
		return p[i].due.Before(p[j].due)
	}
	return p[i].seq < p[j].seq
}
func (p parcels[T]) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels[T]) Push(x any)   { *p = append(*p, x.(parcel[T])) }
func (p *parcels[T]) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = parcel[T]{}
	*p = (*p)[:last]
	return x
}

// queue is a heap of parcels; not safe for concurrent use.
type queue[T any] struct {
	held parcels[T]
	seq  uint64
}

func (q *queue[T]) put(due time.Time, load T) bool {
	if len(q.held) >= mostHeld {
		return false
	}
	q.seq++
	heap.Push(&q.held, parcel[T]{due: due, seq: q.seq, load: load})
	return true
}

// next returns when the first parcel is due; false when there is none.
func (q *queue[T]) next() (time.Time, bool) {
	if len(q.held) == 0 {
		return time.Time{}, false
	}
	return q.held[0].due, true
}

// take returns the first parcel when it is due.
func (q *queue[T]) take(now time.Time) (load T, ok bool) {
	if due, any := q.next(); !any || due.After(now) {
		return load, false
	}
	return heap.Pop(&q.held).(parcel[T]).load, true
}

// line sends parcels when they are due. It owns one timer and no goroutine;
// send is called by one goroutine at a time, in order, and never after close.
type line[T any] struct {
	send func(T)

	mu     sync.Mutex // guards what follows, and is held while sending
	queue  queue[T]
	timer  *time.Timer
	last   time.Time // latest due so far
	closed bool
}

// put holds a load for the delay. With inOrder it never overtakes.
func (l *line[T]) put(load T, delay time.Duration, inOrder bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := time.Now().Add(delay)
	if inOrder && due.Before(l.last) {
		due = l.last
	}
	if l.closed || !l.queue.put(due, load) {
		return
	}
	if due.After(l.last) {
		l.last = due
	}
	l.rearm()
}

func (l *line[T]) rearm() {
	due, any := l.queue.next()
	switch {
	case !any:
	case l.timer == nil:
		l.timer = time.AfterFunc(time.Until(due), l.release)
	default:
		l.timer.Reset(time.Until(due))
	}
}

func (l *line[T]) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		load, ok := l.queue.take(time.Now())
		if !ok {
			break
		}
		l.send(load)
	}
	if !l.closed {
		l.rearm()
	}
}

// waiting says when the first held parcel is due; false when there is none.
func (l *line[T]) waiting() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.next()
}

// close discards what is held. Nothing is sent once it has returned.
func (l *line[T]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// flush sends what is held at once, then closes.
func (l *line[T]) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.queue.held.Len() > 0 {
		l.send(heap.Pop(&l.queue.held).(parcel[T]).load)
	}
	l.end()
}

func (l *line[T]) end() {
	l.closed = true
	l.queue = queue[T]{}
	if l.timer != nil {
		l.timer.Stop()
	}
}

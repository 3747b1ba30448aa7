package agent

import (
	"context"
	"sync"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// batches gathers messages of routes that batch. Each comes decided, ranked and
// judged by itself (policy.Admission.Judge); those that can share a request share
// it, and its slot. It starts no goroutine: the first message of a batch waits for
// the others and then sends them all. Safe for concurrent use.
type batches struct {
	metrics *batchMetrics
	life    context.Context
	end     context.CancelFunc

	hurried sync.Once
	hurry   chan struct{} // closed: nobody waits for others any more

	mu   sync.Mutex // guards open, and what is in those
	open map[batchKey]*batch
}

func newBatches(m *batchMetrics) *batches {
	b := &batches{metrics: m, hurry: make(chan struct{}), open: map[batchKey]*batch{}}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// flush sends what has gathered, and from now on whatever comes at once.
func (s *batches) flush() { s.hurried.Do(func() { close(s.hurry) }) }

// batchKey is all that messages which share a request have in common. The route
// stands for its policy and its class; quota keeps those over it from being
// lifted, or the others from being dragged down; what may be sent twice does not
// mix with what may not.
type batchKey struct {
	route      *policy.Route
	target     policy.Target
	host, path string
	region     string // judged for it
	timeout    time.Duration
	over       bool // the quota
	repeatable bool
}

func (j *journey) batchKey() batchKey {
	d := &j.decision
	return batchKey{
		route: d.Route, target: d.Target, host: d.Host, path: d.Path, region: j.order.At(j.next).Region,
		timeout: j.timeout, over: j.rank.OverQuota(), repeatable: j.pub.QoS > 0,
	}
}

// batch is messages on their way together. It grows until full is closed, and is
// its sender's from then until done is closed.
type batch struct {
	key    batchKey
	began  time.Time
	events [][]byte
	names  []eventName
	bytes  int         // of the request's body
	rank   policy.Rank // the highest
	full   chan struct{}
	done   chan struct{}

	exchange *exchange // that stands for all
	fate
}

// gather has a message go with others, and says what became of it; false: it has
// to go alone.
func (j *journey) gather() (settled bool) {
	d, admit := j.admit(j.judge)
	if admit.Verdict != policy.Admitted {
		j.turnAway(d, admit)
		return true
	}
	s := j.agent.batches
	name, event := eventOf(j.pub, j.r.Header)
	b, place := s.join(j.batchKey(), j.rank, name, event)
	if place == 0 {
		s.lead(b, j)
	}
	<-b.done
	return b.settle(j.exchange, place)
}

// judge asks whether the message by itself is let through, without a slot.
func (j *journey) judge(d *door, _ bool) policy.Admit {
	return d.Judge(time.Now(), policy.Entry{Rank: j.rank, Deadline: j.deadline})
}

// join puts a message into a batch. Who is at its place 0 sends it.
func (s *batches) join(key batchKey, rank policy.Rank, name eventName, event []byte) (b *batch, place int) {
	bounds := key.route.Batch
	s.mu.Lock()
	defer s.mu.Unlock()
	b = s.open[key]
	if b != nil && b.bytes+len(event)+1 > bounds.Bytes {
		s.seal(b)
		b = nil
	}
	if b == nil {
		b = &batch{key: key, began: time.Now(), bytes: 1, full: make(chan struct{}), done: make(chan struct{})}
		s.open[key] = b
	}
	place = len(b.events)
	b.events, b.names = append(b.events, event), append(b.names, name)
	b.bytes += len(event) + 1
	b.rank = max(b.rank, rank)
	if len(b.events) >= bounds.Messages || b.bytes >= bounds.Bytes {
		s.seal(b)
	}
	return b, place
}

// seal lets nobody else in. The lock is held.
func (s *batches) seal(b *batch) {
	if s.open[b.key] == b {
		delete(s.open, b.key)
		close(b.full)
	}
}

// lead waits for others as long as the route says, and sends what has come.
func (s *batches) lead(b *batch, first *journey) {
	defer close(b.done)
	timer := time.NewTimer(min(b.key.route.Batch.Wait, time.Until(first.deadline)/2))
	defer timer.Stop()
	select {
	case <-b.full:
	case <-timer.C:
	case <-s.hurry:
	case <-s.life.Done():
	}
	s.mu.Lock()
	s.seal(b)
	s.mu.Unlock()
	s.metrics.sealed(b)
	if b.send(s.life, first); b.splits() {
		s.metrics.split.WithLabelValues(b.key.route.Name).Inc()
	}
}

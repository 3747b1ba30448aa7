// Package events sends commands to devices that speak HTTP, as server-sent events
// (WHATWG HTML, section 9.2): one long answer to a GET, on any version of HTTP.
// The device acknowledges each by a POST of its own.
//
//	event: message
//	id: ID
//	data: {"topic":"commands/meter-7/do","content_type":"text/plain","payload":"BASE64"}
//
// A comment comes when nothing else does, and before the agent goes:
//
//	event: leave
//	data: {"server":"HOST:PORT","retry_ms":1500}
//
// What is not acknowledged when the stream ends is not kept: the device was never
// known to have it.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

const (
	heartbeat       = 15 * time.Second
	streamsPerOwner = 4       // of one device; the oldest gives way
	waitingMost     = 64      // commands on one stream that are not acknowledged
	waitingBytes    = 1 << 20 // of them together
)

// Config is what New needs.
type Config struct {
	// Changed says that streams of a device came or went. Called with locks held;
	// it must return at once and not call the server.
	Changed func(device string)
	Metrics prometheus.Registerer // nil: not registered
}

// Server holds the streams of one agent. Safe for concurrent use.
type Server struct {
	cfg     Config
	metrics *metrics

	mu      sync.Mutex           // guards what follows, and the streams
	streams map[string][]*stream // by device, the oldest first
	closed  bool
}

// New returns a server, or an error from the metrics registry.
func New(cfg Config) (*Server, error) {
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("metrics of event streams: %w", err)
	}
	return &Server{cfg: cfg, metrics: m, streams: map[string][]*stream{}}, nil
}

// Request describes a stream that a device asks for.
type Request struct {
	Device  policy.Device
	Client  string   // its streams differ in it: a newer one ends an older one
	Epoch   uint64   // number that the device gave its connection; 0: none
	Filters []string // valid, and allowed
}

// stream is one answer. The server's lock guards it.
type stream struct {
	Request
	since   time.Time
	remote  string
	queue   []*transport.Errand // to be written
	waiting []*transport.Errand // written, not acknowledged
	bytes   int                 // of both
	ended   bool
	leave   *leave // its last word
	wake    chan struct{}
}

type leave struct {
	Server  string `json:"server,omitempty"`
	RetryMS int64  `json:"retry_ms"`
}

// Serve answers a request with a stream, until the device goes, a newer stream
// takes its place, or the server closes.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, ask Request) {
	st := &stream{Request: ask, since: time.Now(), remote: r.RemoteAddr, wake: make(chan struct{}, 1)}
	if !s.enter(st) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.remove(st)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_ = s.write(r.Context(), w, st)
}

// write ends with an error, or when there is nothing more to come.
func (s *Server) write(ctx context.Context, w http.ResponseWriter, st *stream) error {
	control := http.NewResponseController(w)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	if _, err := w.Write([]byte(":\n\n")); err != nil {
		return err
	}
	for {
		for p := s.take(st); p != nil; p = s.take(st) {
			if err := writeEvent(w, "message", p.Command.ID, dataOf(p.Command)); err != nil {
				return err
			}
			s.metrics.pushed.Inc()
		}
		last, ended := s.lastWord(st)
		if last != nil {
			_ = writeEvent(w, "leave", "", last)
		}
		if err := control.Flush(); ended || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-st.wake:
		case <-tick.C:
			if _, err := w.Write([]byte(":\n\n")); err != nil {
				return err
			}
		}
	}
}

type data struct {
	Topic       string `json:"topic"`
	ContentType string `json:"content_type,omitempty"`
	Payload     []byte `json:"payload"`
}

func dataOf(c *transport.Command) data { return data{c.Topic, c.ContentType, c.Payload} }

func writeEvent(w http.ResponseWriter, event, id string, body any) error {
	raw, err := json.Marshal(body) // has no line breaks
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(w, "event: %s\n%sdata: %s\n\n", event, id, raw)
	return err
}

func (s *Server) enter(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	id := st.Device.ID
	for _, old := range s.streams[id] {
		if old.Client == st.Client {
			s.endLocked(old, nil)
			break
		}
	}
	if len(s.streams[id]) >= streamsPerOwner {
		s.endLocked(s.streams[id][0], nil)
	}
	s.streams[id] = append(s.streams[id], st)
	s.metrics.streams.Inc()
	s.cfg.Changed(id)
	return true
}

// endLocked has a stream end once it has written its last word, and returns what
// it did not bring.
func (s *Server) endLocked(st *stream, last *leave) (left []*transport.Command) {
	if st.ended {
		return nil
	}
	st.ended, st.leave = true, last
	st.kick()
	return s.forget(st)
}

// forget takes a stream out of the index and gives up what it did not bring.
func (s *Server) forget(st *stream) (left []*transport.Command) {
	id := st.Device.ID
	i := slices.Index(s.streams[id], st)
	if i < 0 {
		return nil
	}
	if s.streams[id] = slices.Delete(s.streams[id], i, i+1); len(s.streams[id]) == 0 {
		delete(s.streams, id)
	}
	for _, p := range append(st.waiting, st.queue...) {
		left = append(left, p.Command)
		p.Settle(transport.Unknown, "the stream ended")
	}
	st.waiting, st.queue, st.bytes = nil, nil, 0
	s.metrics.streams.Dec()
	s.cfg.Changed(id)
	return left
}

func (s *Server) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.ended = true
	s.forget(st)
}

func (st *stream) kick() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// take moves the next command from those to be written to those that are.
func (s *Server) take(st *stream) *transport.Errand {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.ended || len(st.queue) == 0 {
		return nil
	}
	p := st.queue[0]
	st.queue = st.queue[1:]
	st.waiting = append(st.waiting, p)
	return p
}

func (s *Server) lastWord(st *stream) (last *leave, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.leave, st.ended
}

// Deliver writes a command to the newest stream of a device whose filters name its
// topic, and waits until the device acknowledged it. When ctx ends before, the
// command is Pending: it counts as long as the stream lasts. One that is offered
// again by the same ID is not written twice.
func (s *Server) Deliver(ctx context.Context, device string, cmd *transport.Command) transport.Delivery {
	p, refused := s.offer(device, cmd)
	if p == nil {
		return refused
	}
	return p.Wait(ctx)
}

func (s *Server) offer(device string, cmd *transport.Command) (*transport.Errand, transport.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := transport.Unknown
	for _, st := range slices.Backward(s.streams[device]) {
		found = transport.Unsubscribed
		if !slices.ContainsFunc(st.Filters, func(f string) bool { return policy.TopicMatches(f, cmd.Topic) }) {
			continue
		}
		if p := st.find(cmd.ID); p != nil {
			return p, transport.Delivery{}
		}
		if len(st.queue)+len(st.waiting) >= waitingMost || st.bytes > 0 && st.bytes+cmd.Size() > waitingBytes {
			return nil, transport.Delivery{State: transport.Overfull}
		}
		p := transport.NewErrand(cmd)
		st.queue = append(st.queue, p)
		st.bytes += cmd.Size()
		st.kick()
		return p, transport.Delivery{}
	}
	return nil, transport.Delivery{State: found}
}

func (st *stream) find(id string) *transport.Errand {
	for _, list := range [...][]*transport.Errand{st.waiting, st.queue} {
		for _, p := range list {
			if p.Command.ID == id {
				return p
			}
		}
	}
	return nil
}

// ErrUnknown is the kind of errors about commands that nobody waits for any more.
var ErrUnknown = errors.New("no such command waits for this device here")

// Acknowledge is the device's word on a command: it has it, or refuses it for a
// reason that is not empty. Errors are of kind ErrUnknown.
func (s *Server) Acknowledge(device, id, refusal string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams[device] {
		i := slices.IndexFunc(st.waiting, func(p *transport.Errand) bool { return p.Command.ID == id })
		if i < 0 {
			continue
		}
		p := st.waiting[i]
		st.waiting = slices.Delete(st.waiting, i, i+1)
		st.bytes -= p.Command.Size()
		if refusal != "" {
			p.Settle(transport.Refused, refusal)
		} else {
			p.Settle(transport.Delivered, "")
		}
		return nil
	}
	return fmt.Errorf("acknowledge %.80q: %w", id, ErrUnknown)
}

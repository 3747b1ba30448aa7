package dev

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/agent/ledger"
)

// Instance is a sample service's instance: a request holds one of its slots for
// the latency, or waits for one in a queue; and it can be made to fail.
type Instance struct {
	Service, Region, Name string
	Tag                   string

	listener net.Listener
	server   *http.Server
	slots    slots
	capacity int          // slots it was made with
	latency  atomic.Int64 // nanoseconds
	failing  atomic.Bool
	served   atomic.Int64
	handler  http.Handler // instead of the sample's answer
	journal  *ledger.Journal
	cancel   context.CancelFunc
}

// journalMost is how many messages an instance remembers that told their id.
const journalMost = 1 << 19

func startInstance(bind string, i *Instance, latency time.Duration) (*Instance, error) {
	var err error
	if i.listener, err = net.Listen("tcp", net.JoinHostPort(bind, "0")); err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	i.latency.Store(int64(latency))
	i.journal = ledger.NewJournal(journalMost)
	mux := http.NewServeMux()
	mux.HandleFunc("/health", i.health)
	mux.Handle("GET /journal", i.journal)
	mux.HandleFunc("/", i.serve)
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = i.server.Serve(i.listener) }()
	return i, nil
}

// Addr is where the instance listens.
func (i *Instance) Addr() string { return i.listener.Addr().String() }

// Fail makes health checks and requests fail, or work again.
func (i *Instance) Fail(on bool) { i.failing.Store(on) }

// SetLatency changes how long an answer takes.
func (i *Instance) SetLatency(d time.Duration) { i.latency.Store(int64(d)) }

// SetCapacity changes how many requests are served at a time, at least 0.
func (i *Instance) SetCapacity(slots int) { i.slots.resize(slots) }

// Journal is what the instance accepted of the messages that told their id
// (ledger.Header); it serves it at /journal too.
func (i *Instance) Journal() *ledger.Journal { return i.journal }

// Served counts the requests answered with 200.
func (i *Instance) Served() int64 { return i.served.Load() }

// Stop ends the instance: its address refuses connections from now on.
func (i *Instance) Stop() { i.close() }

func (i *Instance) close() {
	i.cancel()
	_ = i.server.Close()
}

func (i *Instance) health(w http.ResponseWriter, _ *http.Request) {
	if i.failing.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (i *Instance) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Served-By", i.Region+"/"+i.Name)
	if i.handler != nil && !i.failing.Load() {
		i.handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch {
	case i.failing.Load():
		w.WriteHeader(http.StatusInternalServerError)
		return
	case !i.occupy(r.Context()):
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	i.served.Add(1)
	i.journal.Accept(r.Header, body)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"service": i.Service, "region": i.Region, "instance": i.Name,
		"method": r.Method, "path": r.URL.RequestURI(), "body_bytes": len(body),
		"class": r.Header.Get("Tidegate-Class"), "device": r.Header.Get("Tidegate-Device"),
		"came_through": r.Header.Get("Tidegate-Region"),
	})
}

// occupy takes a slot for the latency. It fails when the queue is full or the
// client leaves.
func (i *Instance) occupy(ctx context.Context) bool {
	began, ok := i.slots.take(ctx)
	if !ok {
		return false
	}
	end := began.Add(time.Duration(i.latency.Load()))
	work := time.NewTimer(time.Until(end))
	defer work.Stop()
	select {
	case <-work.C:
		i.slots.give(end)
		return true
	case <-ctx.Done():
		i.slots.give(time.Now())
		return false
	}
}

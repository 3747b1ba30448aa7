package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	connections = 32
	streams     = 8 // on each connection
	payload     = 200
)

// sample is one run against one server.
type sample struct {
	cpu        time.Duration // of the server, a request
	throughput float64       // requests a second
	p99        time.Duration
	requests   int64
}

func (s sample) String() string {
	return fmt.Sprintf("%6.1f µs CPU/request  %7.0f requests/s  p99 %5.1f ms", micros(s.cpu), s.throughput, float64(s.p99)/1e6)
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// load is 32 connections of one run and what they counted.
type load struct {
	url      string
	requests atomic.Int64
	counting atomic.Bool
	failed   chan error // the first failure

	mu      sync.Mutex
	latency *hdrhistogram.Histogram // in µs, of counted requests
}

// measure puts t under load and reads its CPU time over the window.
func measure(ctx context.Context, t *target, client *tls.Config, warmup, window time.Duration) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{url: "https://" + t.addr + "/v1/devices/d-17/telemetry", failed: make(chan error, 1), latency: newHistogram()}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range connections {
		wg.Go(func() {
			if t.mqtt != nil {
				l.publishing(ctx, t.addr, client, t.mqtt)
			} else {
				l.connection(ctx, client)
			}
		})
	}
	if err := l.wait(ctx, warmup); err != nil {
		return sample{}, err
	}
	before, err := t.proc.CPU()
	if err != nil {
		return sample{}, err
	}
	l.counting.Store(true)
	first, began := l.requests.Load(), time.Now()
	if err := l.wait(ctx, window); err != nil {
		return sample{}, err
	}
	l.counting.Store(false)
	after, err := t.proc.CPU()
	if err != nil {
		return sample{}, err
	}
	n, took := l.requests.Load()-first, time.Since(began)
	cancel()
	wg.Wait()
	if n == 0 {
		return sample{}, fmt.Errorf("no request was answered in %s", took)
	}
	return sample{
		cpu: (after - before) / time.Duration(n), throughput: float64(n) / took.Seconds(), requests: n,
		p99: time.Duration(l.latency.ValueAtQuantile(99)) * time.Microsecond,
	}, nil
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (30 * time.Second).Microseconds(), 3)
}

func (l *load) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case err := <-l.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connection keeps its streams busy until ctx ends.
func (l *load) connection(ctx context.Context, client *tls.Config) {
	tr := &http3.Transport{TLSClientConfig: client, QUICConfig: &quic.Config{KeepAlivePeriod: 10 * time.Second}, DisableCompression: true}
	defer tr.Close()
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() { l.stream(ctx, tr) })
	}
	wg.Wait()
}

func (l *load) stream(ctx context.Context, tr *http3.Transport) {
	body := bytes.Repeat([]byte("x"), payload)
	mine := newHistogram()
	for ctx.Err() == nil {
		began := time.Now()
		if err := l.post(ctx, tr, body); err != nil {
			l.fail(ctx, err)
			break
		}
		l.requests.Add(1)
		if l.counting.Load() {
			mine.RecordValue(time.Since(began).Microseconds())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(mine)
}

// fail keeps the first failure, unless the run is over.
func (l *load) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	select {
	case l.failed <- err:
	default:
	}
}

func (l *load) post(ctx context.Context, tr *http3.Transport, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(got) != answerBody {
		return fmt.Errorf("answered %d %.300q", resp.StatusCode, got)
	}
	return nil
}

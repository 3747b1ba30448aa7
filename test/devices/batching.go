package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	batchRounds  = 3 // interleaved; the median counts
	batchFor     = 4 * time.Second
	batchWarmUp  = 500 * time.Millisecond
	batchConns   = 64
	batchTopics  = 4 // messages under way a connection, each on a topic of its own
	batchPayload = `{"celsius":21.5,"humidity":40,"battery":3.71,"firmware":"2.14.1","uptime":86400}`
	leastBatched = 3.0 // times the rate without
)

// runBatching compares what gets acknowledged on two routes to one service, one of
// which batches: a ledger, which syncs every request to disk, and an inbox, which only
// reads it.
func (l *lab) runBatching(ctx context.Context, _ options) ([]bar, error) {
	m, err := l.startMesh(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Kill()
	var bars []bar
	for _, service := range []string{"ledger", "inbox"} {
		single, batched, err := l.compareBatching(ctx, m, service)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", service, err, m.Tail())
		}
		say("QoS 1 publishes a second to the %s: %.0f, batched %.0f", service, single, batched)
		name := "QoS 1 publishes with batching, a service that "
		if service == "ledger" {
			bars = append(bars, atLeast(name+"syncs", batched/single, leastBatched, "×"), told("the same, batched, a second", batched, "/s"))
		} else {
			bars = append(bars, told(name+"only reads", batched/single, "×"), told("the same, batched, a second", batched, "/s"))
		}
	}
	return bars, nil
}

func (l *lab) compareBatching(ctx context.Context, m *mesh, service string) (single, batched float64, err error) {
	var rates [2][]float64
	for range batchRounds {
		for i, way := range []string{"single", "batched"} {
			rate, err := l.publishing(ctx, m, service, way)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", way, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	return median(rates[0]), median(rates[1]), nil
}

// publishing keeps connections busy for a while, and returns the messages that were
// acknowledged a second. All of them must have reached the service.
func (l *lab) publishing(ctx context.Context, m *mesh, service, way string) (float64, error) {
	before, err := m.count(ctx, "/"+service)
	if err != nil {
		return 0, err
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := l.meshClient(alpn)
	if err != nil {
		return 0, err
	}
	p := &publishers{addr: m.Edges[1], client: client, topic: service + "/" + way}
	for n := range batchConns {
		p.all.Go(func() { p.keep(running, n) })
	}
	rate := p.measure(running)
	cancel()
	p.all.Wait()
	after, err := m.count(ctx, "/"+service)
	if p.failed != nil {
		err = p.failed
	}
	if acked := p.acked.Load(); err == nil && after-before < acked {
		err = fmt.Errorf("%d acknowledged, %d reached the service", acked, after-before)
	}
	return rate, err
}

// publishers are devices that send the next message as soon as one is acknowledged.
type publishers struct {
	addr   string
	client *tls.Config
	topic  string
	acked  atomic.Int64
	all    sync.WaitGroup

	once   sync.Once
	failed error
}

func (p *publishers) measure(ctx context.Context) float64 {
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	wait(batchWarmUp)
	before, began := p.acked.Load(), time.Now()
	wait(batchFor)
	return float64(p.acked.Load()-before) / time.Since(began).Seconds()
}

func (p *publishers) keep(ctx context.Context, n int) {
	if err := p.run(ctx, n); err != nil && ctx.Err() == nil {
		p.once.Do(func() { p.failed = fmt.Errorf("device %d: %w", n, err) })
	}
}

func (p *publishers) run(ctx context.Context, n int) error {
	link, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: p.client}).DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	defer link.Close()
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	r := bufio.NewReader(link)
	if _, err := link.Write(connect(n)); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(r, answer[:]); err != nil || answer != [4]byte{0x20, 2, 0, 0} {
		return fmt.Errorf("CONNACK %x: %w", answer, err)
	}
	for id := range uint16(batchTopics) {
		if _, err := link.Write(p.message(n, id+1)); err != nil {
			return err
		}
	}
	for {
		if _, err := io.ReadFull(r, answer[:]); err != nil {
			return err
		}
		id := binary.BigEndian.Uint16(answer[2:])
		if answer[0] != 0x40 || id == 0 || id > batchTopics {
			return fmt.Errorf("%x is no PUBACK", answer)
		}
		p.acked.Add(1)
		if _, err := link.Write(p.message(n, id)); err != nil {
			return err
		}
	}
}

// message is PUBLISH at QoS 1, of MQTT 3.1.1.
func (p *publishers) message(n int, id uint16) []byte {
	topic := fmt.Sprintf("%s/%d-%d", p.topic, n, id)
	size := 2 + len(topic) + 2 + len(batchPayload)
	b := append(make([]byte, 0, size+3), 0x32)
	b = binary.AppendUvarint(b, uint64(size)) // as MQTT writes it, too
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	b = binary.BigEndian.AppendUint16(b, id)
	return append(b, batchPayload...)
}

func (m *mesh) count(ctx context.Context, path string) (int64, error) {
	text, err := m.ask(ctx, path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
}

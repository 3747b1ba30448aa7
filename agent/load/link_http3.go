package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/agent/ledger"
)

// http3Link sends requests, each on the connection to its edge.
type http3Link struct {
	via  *quic.Transport
	tls  *tls.Config
	calm bool

	mu    sync.Mutex // guards what follows
	h3    *http3.Transport
	ready map[string]*quic.Conn // dialled ahead, by address; the first request takes it
}

func newHTTP3Link(via *quic.Transport, conf *tls.Config, calm bool) *http3Link {
	l := &http3Link{via: via, tls: conf, calm: calm, ready: map[string]*quic.Conn{}}
	l.h3 = l.transport()
	return l
}

func (l *http3Link) transport() *http3.Transport {
	return &http3.Transport{TLSClientConfig: l.tls, DisableCompression: true, QUICConfig: quicConfig(l.calm), Dial: l.dial}
}

// dial takes a connection that is there already, or makes one.
func (l *http3Link) dial(ctx context.Context, addr string, conf *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	l.mu.Lock()
	conn := l.ready[addr]
	delete(l.ready, addr)
	l.mu.Unlock()
	if conn != nil && conn.Context().Err() == nil {
		return conn, nil
	}
	return dialQUIC(ctx, l.via, addr, conf, qc)
}

func (l *http3Link) attempt(ctx context.Context, m *message) (a answer, err error) {
	req, err := m.request(ctx)
	if err != nil {
		return a, err
	}
	l.mu.Lock()
	h3 := l.h3
	l.mu.Unlock()
	resp, err := h3.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if err := a.read(resp); err != nil {
		return a, err
	}
	a.region, _, _ = strings.Cut(resp.Header.Get("X-Served-By"), "/")
	return a, nil
}

func (m *message) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, m.kind.Method, "https://"+m.edge.Addr+m.path, bytes.NewReader(m.body))
	if err != nil {
		return nil, err
	}
	if len(m.body) == 0 {
		req.Body, req.ContentLength = nil, 0
	}
	if m.kind.Host != "" {
		req.Host = m.kind.Host
	}
	for name, value := range m.kind.Header {
		req.Header.Set(name, value)
	}
	if m.id != "" {
		req.Header.Set(ledger.Header, m.id)
	}
	if m.deadline > 0 {
		req.Header.Set("Request-Timeout", seconds(m.deadline.Seconds()))
	}
	return req, nil
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

func (l *http3Link) connect(ctx context.Context, addr string) error {
	conn, err := dialQUIC(ctx, l.via, addr, forProtocol(l.tls, addr, http3.NextProtoH3), quicConfig(l.calm))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.ready[addr]; old != nil {
		_ = old.CloseWithError(0, "")
	}
	l.ready[addr] = conn
	return nil
}

func (l *http3Link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.ready {
		if conn.Context().Err() == nil {
			return true
		}
	}
	return false
}

func (l *http3Link) drop() {
	l.mu.Lock()
	old, ready := l.h3, l.ready
	l.h3, l.ready = l.transport(), map[string]*quic.Conn{}
	l.mu.Unlock()
	_ = old.Close()
	for _, conn := range ready {
		_ = conn.CloseWithError(0, "")
	}
}

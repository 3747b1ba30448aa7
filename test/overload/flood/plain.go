package flood

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// Plain is clients that speak HTTP/1.1 without TLS to one server.
type Plain struct {
	addr    string
	headers http.Header
	http    *http.Transport
	reasons
}

// NewPlain makes clients with as many connections as they have requests open.
func NewPlain(addr string, headers http.Header) *Plain {
	return &Plain{addr: addr, headers: headers, http: &http.Transport{
		MaxIdleConnsPerHost: maxOutstanding, MaxIdleConns: maxOutstanding,
		IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}}
}

// Pick gives the one device there is.
func (p *Plain) Pick(*Kind, *rand.Rand) Device { return p }

// Home is the only edge.
func (p *Plain) Home() int { return 0 }

// Close ends all connections.
func (p *Plain) Close() { p.http.CloseIdleConnections() }

// Send makes one attempt, up to its deadline.
func (p *Plain) Send(ctx context.Context, s *Shot) Answer {
	ctx, cancel := context.WithDeadline(ctx, s.Deadline)
	defer cancel()
	rsp, err := p.http.RoundTrip(request(ctx, s, "http", p.addr, p.headers))
	if err != nil {
		return Answer{}
	}
	reason, after, err := p.read(rsp)
	if err != nil {
		return Answer{}
	}
	return Answer{Status: rsp.StatusCode, Reason: reason, RetryAfter: after}
}

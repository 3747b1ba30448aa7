package inject

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
)

// ErrInjected is why something failed that a fault lets fail.
var ErrInjected = errors.New("an injected fault")

// Gate is a way that can be shut: then what is under way fails, and so does what
// comes. The zero value is open.
type Gate struct {
	mu    sync.Mutex // guards what follows
	times int        // it was shut
	open  context.Context
	close context.CancelFunc
}

func (g *Gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.times++; g.times == 1 && g.close != nil {
		g.close()
		g.open, g.close = nil, nil
	}
}

func (g *Gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.times--
}

// whileOpen ends when the gate is shut; nil: it is.
func (g *Gate) whileOpen() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.times > 0 {
		return nil
	}
	if g.open == nil {
		g.open, g.close = context.WithCancel(context.Background())
	}
	return g.open
}

// Through returns a transport whose requests go through the gate.
func (g *Gate) Through(next http.RoundTripper) http.RoundTripper { return &gated{g, next} }

type gated struct {
	gate *Gate
	next http.RoundTripper
}

func (t *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	open := t.gate.whileOpen()
	if open == nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, ErrInjected
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(open, func() { cancel(ErrInjected) })
	done := func() { stop(); cancel(nil) }
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrInjected) {
			err = ErrInjected
		}
		done()
		return nil, err
	}
	resp.Body = &gatedBody{resp.Body, done}
	return resp, nil
}

// CloseIdleConnections is asked for by http.Client.
func (t *gated) CloseIdleConnections() {
	if c, can := t.next.(interface{ CloseIdleConnections() }); can {
		c.CloseIdleConnections()
	}
}

type gatedBody struct {
	io.ReadCloser
	done func()
}

func (b *gatedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

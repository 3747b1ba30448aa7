//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// shop is the process that plays all instances of a region.
type shop struct {
	region  string
	journal *journal
	clerks  []*clerk
}

// clerk is one instance.
type clerk struct {
	*shop
	id   string
	pace atomic.Pointer[pace] // nil: at once
}

// pace is how fast an instance answers. What finds no room waits for it, as in a
// service that knows no overload; health checks do not.
type pace struct {
	delay time.Duration
	room  chan struct{} // nil: any number at a time
}

func newPace(delay time.Duration, atOnce int) *pace {
	p := &pace{delay: delay}
	if atOnce > 0 {
		p.room = make(chan struct{}, atOnce)
	}
	return p
}

// work takes its time, unless whoever asked gives up.
func (p *pace) work(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if p.room != nil {
		select {
		case p.room <- struct{}{}:
			defer func() { <-p.room }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-time.After(p.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *clerk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", c.serve)
	return mux
}

func (c *clerk) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || c.pace.Load().work(r.Context()) != nil {
		return
	}
	if strings.HasSuffix(r.URL.Path, numbered) {
		if err := c.journal.note(entry{ID: r.Header.Get("Ce-Id"), Body: string(body)}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("X-Served-By", c.region+"/"+c.id)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"region": c.region, "instance": c.id, "method": r.Method, "path": r.URL.Path, "body_bytes": len(body),
		"device": r.Header.Get("Tidegate-Device"), "class": r.Header.Get("Tidegate-Class"), "came_through": r.Header.Get("Tidegate-Region"),
	})
}

const paceSocket = "services.sock"

// serveControl takes "PUT /?delay=20ms&at_once=8" for every instance.
func (s *shop) serveControl(socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /{$}", func(w http.ResponseWriter, r *http.Request) {
		delay, err := time.ParseDuration(r.FormValue("delay"))
		atOnce, atOnceErr := strconv.Atoi(r.FormValue("at_once"))
		if err := errors.Join(err, atOnceErr); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, c := range s.clerks {
			c.pace.Store(newPace(delay, atOnce))
		}
	})
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}).Serve(listener)
}

// setPace has each instance of the region take a time for an answer, and give so
// many at a time; 0: any number.
func (r *region) setPace(ctx context.Context, delay time.Duration, atOnce int) error {
	query := url.Values{"delay": {delay.String()}, "at_once": {strconv.Itoa(atOnce)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://services/?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := socketClient(r.path(paceSocket)).Do(req)
	if err != nil {
		return fmt.Errorf("set the pace of services in %s: %w", r.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("set the pace of services in %s: %s", r.name, resp.Status)
	}
	return nil
}

// socketClient asks at a unix socket, each time over a new connection.
func socketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

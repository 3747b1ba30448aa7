package slots

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The headers that tell the service of a request: its deadline in microseconds
// since 1970, and an id for requests that may come again.
const (
	HeaderDeadline = "X-Deadline"
	HeaderID       = "X-Request-Id"
)

const answer = `{"accepted":true}`

// ServeHTTP answers when the work is done.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	done := s.Do(deadlineOf(r.Header), r.Header.Get(HeaderID))
	if done == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	select {
	case <-done:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

func deadlineOf(h http.Header) time.Time {
	micros, err := strconv.ParseInt(h.Get(HeaderDeadline), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}

// Serve opens the service and its control port, on 127.0.0.1, prints both
// addresses on one line and serves until the process ends.
func (s *Service) Serve(out io.Writer) error {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, service.Addr(), control.Addr())
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(service, s) }()
	go func() { failed <- http.Serve(control, s.control()) }()
	return <-failed
}

// control: GET /stats; POST /slots?n=4, /sigma?s=0.6, /reset.
func (s *Service) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.Stats())
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { s.Reset() })
	mux.HandleFunc("POST /slots", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n < 0 || n > 1e6 {
			http.Error(w, "slots: n is a number from 0 to 1000000", http.StatusBadRequest)
			return
		}
		s.SetSlots(n)
	})
	mux.HandleFunc("POST /sigma", func(w http.ResponseWriter, r *http.Request) {
		sigma, err := strconv.ParseFloat(r.FormValue("s"), 64)
		if err != nil || !(sigma >= 0 && sigma <= 3) {
			http.Error(w, "sigma: s is a number from 0 to 3", http.StatusBadRequest)
			return
		}
		s.SetSigma(sigma)
	})
	return mux
}

// Control speaks to a service's control port from another process.
type Control struct{ Addr string }

// Stats asks for the counts.
func (c Control) Stats() (s Stats, err error) {
	rsp, err := http.Get("http://" + c.Addr + "/stats")
	if err != nil {
		return s, fmt.Errorf("ask the upstream for its counts: %w", err)
	}
	defer rsp.Body.Close()
	return s, json.NewDecoder(rsp.Body).Decode(&s)
}

// Reset is Service.Reset.
func (c Control) Reset() error { return c.post("/reset") }

// SetSlots is Service.SetSlots.
func (c Control) SetSlots(n int) error { return c.post(fmt.Sprintf("/slots?n=%d", n)) }

// SetSigma is Service.SetSigma.
func (c Control) SetSigma(sigma float64) error { return c.post(fmt.Sprintf("/sigma?s=%g", sigma)) }

func (c Control) post(path string) error {
	rsp, err := http.Post("http://"+c.Addr+path, "", nil)
	if err != nil {
		return fmt.Errorf("control the upstream: %w", err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("control the upstream: POST %s: %s", path, rsp.Status)
	}
	return nil
}

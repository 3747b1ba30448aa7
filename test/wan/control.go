//go:build linux

package wan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// State is what the control API answers.
type State struct {
	PID        int              `json:"pid"`
	Regions    []RegionState    `json:"regions"`
	Directions []DirectionState `json:"directions"`
}

// RegionState is one region.
type RegionState struct {
	Name      string   `json:"name"`
	Inside    string   `json:"inside"` // command before those that are to run there
	Addresses []string `json:"addresses"`
}

// DirectionState is how one leads from a region to another.
type DirectionState struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Profile  string   `json:"profile"` // as Do takes it
	Counters Counters `json:"counters"`
}

// State describes the network.
func (w *WAN) State() State {
	s := State{PID: os.Getpid()}
	for _, r := range w.regions {
		s.Regions = append(s.Regions, r.state())
	}
	for _, d := range w.Directions() {
		s.Directions = append(s.Directions, DirectionState{d.From, d.To, d.Profile.String(), d.Counters})
	}
	return s
}

func (r *Region) state() RegionState {
	s := RegionState{Name: r.Name, Inside: r.Inside()}
	for k := 1; k <= r.addresses; k++ {
		s.Addresses = append(s.Addresses, r.Addr(k).String())
	}
	for k := 1; k <= r.addresses; k++ {
		s.Addresses = append(s.Addresses, r.Addr6(k).String())
	}
	return s
}

// serve opens the control API, HTTP on a unix socket that only the user may
// open: GET / gives the State, POST / does the lines of its body, up to the
// first that makes no sense (400).
func (w *WAN) serve() error {
	listener, err := net.Listen("unix", w.Socket())
	if err != nil {
		return fmt.Errorf("open the control API: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(out http.ResponseWriter, _ *http.Request) { w.show(out) })
	mux.HandleFunc("POST /{$}", w.doLines)
	w.serving = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	w.loops.Go(func() { _ = w.serving.Serve(listener) })
	return nil
}

func (w *WAN) show(out http.ResponseWriter) {
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(w.State()) // to a client that may have left
}

const maxLines = 64 << 10 // bytes

func (w *WAN) doLines(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, in.Body, maxLines))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	for line := range strings.Lines(string(body)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := w.Do(strings.TrimSpace(line)); err != nil {
			status := http.StatusInternalServerError
			if errors.Is(err, ErrInvalid) {
				status = http.StatusBadRequest
			}
			http.Error(out, err.Error(), status)
			return
		}
	}
	w.show(out)
}

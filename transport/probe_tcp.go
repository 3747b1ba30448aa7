package transport

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"time"
)

// Over TCP, where one connection carries everything, probes and vectors are
// requests; no service can have these paths.
const (
	pathProbe  = "/.well-known/tidegate/probe"
	pathVector = "/.well-known/tidegate/vector"
)

// withProbes answers probes before the handler is asked.
func (m *Mesh) withProbes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := PeerFrom(r.Context())
		switch r.URL.Path {
		case pathProbe:
			if status := m.cfg.Probes.Answer(peer); len(status) <= maxStatus {
				w.Write(status)
			}
		case pathVector:
			have, err := hex.DecodeString(r.URL.RawQuery)
			if err != nil || len(have) > maxHave {
				have = nil
			}
			if frame := m.cfg.Probes.Vector(have); len(frame) <= maxVector {
				w.Write(frame)
			}
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// pollTCP probes over a TCP connection until that is closed: once for a tunnel,
// to see that it was let in; again and again for a probe connection.
func (k *keeper) pollTCP(w *tcpWire, answered chan<- struct{}) {
	ticker := time.NewTicker(k.mesh.timing.probeTCP)
	defer ticker.Stop()
	for first := true; ; first = false {
		if err := k.probeTCP(w); err != nil {
			w.close(err)
			return
		}
		if first {
			close(answered)
		}
		if k.kind == tunnelKind {
			return
		}
		select {
		case <-ticker.C:
		case <-w.done():
			return
		}
	}
}

func (k *keeper) probeTCP(w *tcpWire) error {
	start := time.Now()
	status, err := w.get(k.mesh.ctx, pathProbe, maxStatus)
	if err != nil || k.kind == tunnelKind {
		return err
	}
	now := time.Now()
	k.mesh.metrics.probeSent(k.peer.Region)
	k.answered(now.Sub(start), now)
	if len(status) == 0 {
		return nil
	}
	k.mesh.cfg.Probes.Status(k.peer, status)
	have, want := k.mesh.cfg.Probes.WantVector(k.peer, status)
	if !want {
		return nil
	}
	frame, err := w.get(k.mesh.ctx, pathVector+"?"+hex.EncodeToString(have), maxVector)
	if err == nil && len(frame) > 0 {
		k.mesh.cfg.Probes.VectorPulled(k.peer, frame)
	}
	return err
}

// get fetches at most limit bytes.
func (w *tcpWire) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mesh"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.roundTrip(req, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, limit))
}

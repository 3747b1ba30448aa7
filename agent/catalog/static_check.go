package catalog

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// health is what a check has seen of one instance.
type health struct {
	known  bool // checked at least once
	ready  bool
	streak int // results in a row against ready
}

// status of an instance never checked is critical: it gets no traffic before
// its first pass.
func (h *health) status() Status {
	if h.ready {
		return Ready
	}
	return Critical
}

// note takes one result and says whether the status changed.
func (h *health) note(pass bool, p checkPlan) bool {
	if !h.known {
		h.known, h.ready = true, pass
		return pass
	}
	if pass == h.ready {
		h.streak = 0
		return false
	}
	h.streak++
	if pass && h.streak < p.healthy || !pass && h.streak < p.unhealthy {
		return false
	}
	h.ready, h.streak = pass, 0
	return true
}

// checkBodyLimit is how much of a check's answer is read to keep the connection.
const checkBodyLimit = 64 << 10

func checkClient() *http.Client {
	return &http.Client{
		// No Proxy: the environment's is for the world, not for a neighbour.
		Transport: &http.Transport{
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        2 * time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *Static) keepChecking(ctx context.Context, key checkKey) {
	pause(ctx, rand.N(key.plan.interval/10+1))
	for ctx.Err() == nil {
		err := s.check(ctx, key)
		if ctx.Err() != nil {
			return
		}
		s.noted(key, err)
		pause(ctx, key.plan.interval-key.plan.interval/10+rand.N(key.plan.interval/5+1))
	}
}

func (s *Static) check(ctx context.Context, key checkKey) error {
	ctx, cancel := context.WithTimeout(ctx, key.plan.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+key.address+key.plan.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "tidegate-check")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, checkBodyLimit)); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func (s *Static) noted(key checkKey, err error) {
	if err != nil {
		s.meters.fail("check")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health[key]
	if h == nil {
		return
	}
	first := !h.known
	if !h.note(err == nil, key.plan) && !(first && err != nil) {
		return
	}
	if err != nil {
		s.log.Warn("instance fails its check", "service", key.service, "instance", key.id, "error", err)
	} else {
		s.log.Info("instance passes its check", "service", key.service, "instance", key.id)
	}
	s.show()
}

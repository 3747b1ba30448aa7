package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// Retry is how devices treat an answer that says to come back: 503 or 429.
type Retry struct {
	Attempts int           // in all; 0 and 1: they do not send again
	Hasty    bool          // they ignore Retry-After and wait for Pause alone
	Pause    time.Duration // before sending again, at least; default 100 ms
}

const (
	maxAttempts  = 100
	defaultPause = 100 * time.Millisecond
	// maxRefusal bounds how much of a refusal is read, in bytes.
	maxRefusal = 4096
)

func (r *Retry) check() error {
	if r.Pause == 0 {
		r.Pause = defaultPause
	}
	if r.Attempts < 0 || r.Attempts > maxAttempts || r.Pause < 0 {
		return fmt.Errorf("%w: %d attempts %s apart: use at most %d, and no pause below 0", ErrConfig, r.Attempts, r.Pause, maxAttempts)
	}
	return nil
}

// wait is how long a device waits before it sends again what was refused.
func (r *Retry) wait(a *answer) time.Duration {
	if r.Hasty {
		return r.Pause
	}
	return max(r.Pause, a.comeBack)
}

// answer is what came back for one attempt.
type answer struct {
	status   int
	region   string        // that served
	reason   string        // of a refusal
	comeBack time.Duration // a refusal's wish
}

func (a *answer) forNow() bool {
	return a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
}

// read takes the answer in; of a refusal it reads what is machine-readable.
func (a *answer) read(resp *http.Response) error {
	a.status = resp.StatusCode
	if a.forNow() {
		a.refusal(resp)
	}
	_, err := io.Copy(io.Discard, resp.Body)
	return err
}

func (a *answer) refusal(resp *http.Response) {
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		a.comeBack = time.Duration(seconds) * time.Second
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/problem+json" {
		return
	}
	var problem struct {
		Reason       string `json:"reason"`
		RetryAfterMS int32  `json:"retry_after_ms"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&problem) != nil {
		return
	}
	a.reason = problem.Reason
	if problem.RetryAfterMS > 0 {
		a.comeBack = time.Duration(problem.RetryAfterMS) * time.Millisecond
	}
}

// pause waits, or says that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

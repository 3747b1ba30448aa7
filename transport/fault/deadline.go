package fault

import (
	"context"
	"os"
	"sync"
	"time"
)

// deadline is a moving point in time. The zero value is never.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{} // closed when at changes; nil until somebody waits
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

func (d *deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved == nil {
		d.moved = make(chan struct{})
	}
	return d.at, d.moved
}

// within runs wait, which ends with its context, until the deadline passes
// (os.ErrDeadlineExceeded) or ctx ends (its cause). It returns nil when wait
// ended by itself or the deadline moved: callers look again.
func (d *deadline) within(ctx context.Context, wait func(context.Context) error) error {
	at, moved := d.get()
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	if !at.IsZero() {
		limited, cancel = context.WithDeadlineCause(limited, at, os.ErrDeadlineExceeded)
		defer cancel()
	}
	stop := cancelOn(moved, cancel)
	defer stop()
	err := wait(limited)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == os.ErrDeadlineExceeded {
		if now, _ := d.get(); now.Equal(at) {
			return err
		}
	}
	return nil
}

// cancelOn cancels when the channel closes, until stopped.
func cancelOn(ch <-chan struct{}, cancel context.CancelFunc) (stop func()) {
	done, exited := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(exited)
		select {
		case <-ch:
			cancel()
		case <-done:
		}
	}()
	return func() { close(done); <-exited }
}

// tally counts bytes under way and remembers the first failure.
type tally struct {
	mu  sync.Mutex
	n   int
	err error
}

// add takes n more unless that exceeds the limit; the first always fits.
func (t *tally) add(n, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n > 0 && t.n+n > limit {
		return false
	}
	t.n += n
	return true
}

func (t *tally) sub(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n -= n
}

func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

func (t *tally) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

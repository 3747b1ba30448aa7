package fault

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// ErrCut is the kind of errors that come of a connection being cut off.
var ErrCut = errors.New("cut off by an injected fault")

// cutError is a time-out, as a real partition gives.
type cutError struct{ cause error }

func (e *cutError) Error() string   { return ErrCut.Error() + ": " + e.cause.Error() }
func (e *cutError) Unwrap() []error { return []error{ErrCut, e.cause} }
func (e *cutError) Timeout() bool   { return true }
func (e *cutError) Temporary() bool { return true }

// awaitPath waits while src and dst are cut off from one another, in either
// direction, and then for the time a first round trip takes.
func (s *Switch) awaitPath(ctx context.Context, src, dst netip.AddrPort) error {
	for {
		there, back := s.judge(src, dst, sending), s.judge(dst, src, sending)
		if !there.cut() && !back.cut() {
			return sleep(ctx, there.delay+back.delay)
		}
		until := there
		until.endsBy(back.until)
		if err := until.await(ctx); err != nil {
			return &cutError{err}
		}
	}
}

// await returns when the rules may have changed.
func (f *fate) await(ctx context.Context) error {
	var ends <-chan time.Time
	if !f.until.IsZero() {
		timer := time.NewTimer(time.Until(f.until))
		defer timer.Stop()
		ends = timer.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.change:
	case <-ends:
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

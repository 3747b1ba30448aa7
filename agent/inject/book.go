// Package inject keeps the book of the faults in force in one place: which, until
// when, and that each ends by itself.
package inject

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
)

// Most is how many faults may be in force at a time.
const Most = 64

// endLimit bounds how long the end of a fault may take when its time is over.
const endLimit = 20 * time.Second

// End ends a condition.
type End func(context.Context) error

// Begin brings a condition about. It is called for one fault at a time, and not
// while another ends. End is never nil when there is no error.
type Begin func(admin.Fault) (End, error)

// Book is the faults in force, as the control API serves them. Close it. Safe for concurrent use.
type Book struct {
	begin    Begin
	log      *slog.Logger
	expiries sync.WaitGroup
	closing  chan struct{}

	mu     sync.Mutex // guards what follows, and is held while a fault begins or ends
	all    []*entry
	closed bool

	listed sync.Mutex // guards list, which is there to be read while a fault begins or ends
	list   []active
}

type entry struct {
	active
	end     End
	removed chan struct{} // closed when it was lifted
}

type active struct {
	admin.Fault
	until time.Time
}

// NewBook returns an empty book. Each beginning and end is logged.
func NewBook(begin Begin, log *slog.Logger) *Book {
	return &Book{begin: begin, log: log, closing: make(chan struct{})}
}

// AddFault puts a fault in force until its time is over or RemoveFault ends it. Errors are
// of kind policy.ErrInvalid when it makes no sense, admin.ErrConflict when one
// with its ID, or the same condition, is in force.
func (b *Book) AddFault(ctx context.Context, f admin.Fault) error {
	if err := f.Check(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.roomFor(&f); err != nil {
		return err
	}
	end, err := b.begin(f)
	if err != nil {
		return err
	}
	span := time.Duration(f.Seconds * float64(time.Second))
	e := &entry{active{f, time.Now().Add(span)}, end, make(chan struct{})}
	b.all = append(b.all, e)
	b.tell()
	b.expiries.Go(func() { b.expire(context.WithoutCancel(ctx), e, span) })
	b.log.Warn("fault begins", "id", f.ID, "fault", f.String(), "for", span)
	return nil
}

func (b *Book) roomFor(f *admin.Fault) error {
	if b.closed {
		return fmt.Errorf("%w: no fault begins any more here", admin.ErrConflict)
	}
	for _, other := range b.all {
		if other.ID == f.ID || other.Clashes(f) {
			return fmt.Errorf("%w: fault %q (%s) is in force for %.0f s more", admin.ErrConflict,
				other.ID, other.String(), time.Until(other.until).Seconds())
		}
	}
	if len(b.all) >= Most {
		return fmt.Errorf("%w: %d faults are in force already: remove some", admin.ErrConflict, Most)
	}
	return nil
}

// expire ends a fault when its time is over.
func (b *Book) expire(ctx context.Context, e *entry, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-e.removed:
		return
	case <-b.closing:
		return
	case <-timer.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || !slices.Contains(b.all, e) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	if err := b.lift(ctx, e); err != nil {
		b.log.Error("fault not ended", "id", e.ID, "error", err)
	}
}

// RemoveFault ends a fault early. The error is of kind admin.ErrNotFound when none of
// that ID is in force.
func (b *Book) RemoveFault(ctx context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(b.all, func(e *entry) bool { return e.ID == id })
	if at < 0 || b.closed {
		return fmt.Errorf("%w: no fault %q is in force", admin.ErrNotFound, id)
	}
	return b.lift(ctx, b.all[at])
}

// lift takes a fault off the list and ends it. The caller holds mu.
func (b *Book) lift(ctx context.Context, e *entry) error {
	b.all = slices.DeleteFunc(b.all, func(other *entry) bool { return other == e })
	close(e.removed)
	err := e.end(ctx)
	b.tell()
	b.log.Warn("fault over", "id", e.ID, "fault", e.String())
	return err
}

// tell makes the list what mu guards.
func (b *Book) tell() {
	b.listed.Lock()
	defer b.listed.Unlock()
	b.list = b.list[:0]
	for _, e := range b.all {
		b.list = append(b.list, e.active)
	}
}

// Faults returns the faults in force, oldest first. It does not wait for one that
// begins or ends.
func (b *Book) Faults() []admin.ActiveFault {
	b.listed.Lock()
	defer b.listed.Unlock()
	all := make([]admin.ActiveFault, len(b.list))
	for n, a := range b.list {
		all[n] = admin.ActiveFault{Fault: a.Fault, RemainingSeconds: time.Until(a.until).Seconds()}
	}
	return all
}

// Close lets nothing begin or end any more; what is in force goes with whoever
// has the conditions.
func (b *Book) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.closing)
	}
	b.mu.Unlock()
	b.expiries.Wait()
}

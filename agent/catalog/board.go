package catalog

import (
	"io"
	"log/slog"
	"sync/atomic"
)

// board shows the current snapshot to any number of readers. Its one writer
// at a time is whoever holds the owner's lock.
type board struct {
	snap    atomic.Pointer[Snapshot]
	changed chan struct{}
}

func newBoard(first *Snapshot) *board {
	b := &board{changed: make(chan struct{}, 1)}
	b.snap.Store(first)
	return b
}

// Snapshot implements Catalog.
func (b *board) Snapshot() *Snapshot { return b.snap.Load() }

// Changed implements Catalog.
func (b *board) Changed() <-chan struct{} { return b.changed }

func (b *board) publish(s *Snapshot, signal bool) {
	b.snap.Store(s)
	if signal {
		poke(b.changed)
	}
}

// poke leaves a signal in a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func loggerOf(opt Options) *slog.Logger {
	if opt.Logger != nil {
		return opt.Logger
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

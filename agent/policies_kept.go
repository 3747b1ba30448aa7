package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// kept is the file with the last policy of the KV that was good, for a start without
// Consul. What cannot be written is tried again: a disk that was full may have room.
type kept struct {
	file string
	log  *slog.Logger

	mu      sync.Mutex // guards missing, and the order of writes
	missing []byte     // what the file should hold; nil: it does
}

const keepAgain = 30 * time.Second

// read returns nil when nothing was kept.
func (k *kept) read() ([]byte, error) {
	src, err := os.ReadFile(k.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return src, err
}

func (k *kept) keep(src []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.write(src)
}

// run writes what is missing, until ctx ends.
func (k *kept) run(ctx context.Context) {
	tick := time.NewTicker(keepAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.catchUp()
		}
	}
}

func (k *kept) catchUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.missing != nil {
		k.write(k.missing)
	}
}

func (k *kept) write(src []byte) {
	before := k.missing != nil
	err := renameio.WriteFile(k.file, src, 0o600)
	if k.missing = nil; err != nil {
		k.missing = src
	}
	switch {
	case err != nil && !before:
		k.log.Warn("policy not kept for a start without Consul; tried again", "file", k.file, "error", err)
	case err == nil && before:
		k.log.Info("policy is kept again", "file", k.file)
	}
}

package agent

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// watchEvery is how often a watched file is looked at.
const watchEvery = time.Second

// watchFile loads a file again when it has changed, until ctx ends. What cannot
// be loaded is tried again, and said once.
func watchFile(ctx context.Context, path string, log *slog.Logger, load func() error) {
	var loaded os.FileInfo // by which it was loaded; nil: at an unknown time
	var said string
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		info, err := os.Stat(path)
		if err == nil && !sameFile(info, loaded) {
			if err = load(); err == nil {
				loaded, said = info, ""
			}
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			log.Error("file not loaded, what it held before stays", "file", path, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func sameFile(a, b os.FileInfo) bool {
	return b != nil && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

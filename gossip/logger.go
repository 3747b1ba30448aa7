package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// memberlist logs a line for every packet it cannot read, which any stranger
// can send; more lines than these are counted, not written.
const (
	logLinesPerSecond = 20
	logLinesBurst     = 100
)

// logWriter turns memberlist's "[LEVEL] memberlist: text" lines into records.
type logWriter struct {
	logger     *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Int64
	muted      atomic.Bool // the pool is closed; memberlist's last probes still talk
}

func newLogWriter(logger *slog.Logger, pool string) *logWriter {
	return &logWriter{
		logger: logger.With("component", "memberlist", "pool", pool),
		limit:  rate.NewLimiter(logLinesPerSecond, logLinesBurst),
	}
}

func (w *logWriter) standard() *log.Logger { return log.New(w, "", 0) }

func (w *logWriter) Write(line []byte) (int, error) {
	level, text := splitLogLine(line)
	ctx := context.Background()
	if w.muted.Load() || !w.logger.Enabled(ctx, level) {
		return len(line), nil
	}
	if !w.limit.Allow() {
		w.suppressed.Add(1)
		return len(line), nil
	}
	if n := w.suppressed.Swap(0); n > 0 {
		w.logger.Log(ctx, slog.LevelWarn, "memberlist logged too much", "suppressed", n)
	}
	w.logger.Log(ctx, level, string(text))
	return len(line), nil
}

func splitLogLine(line []byte) (slog.Level, []byte) {
	line = bytes.TrimSpace(line)
	level := slog.LevelInfo
	if tag, rest, ok := bytes.Cut(line, []byte("] ")); ok && bytes.HasPrefix(tag, []byte("[")) {
		level, line = logLevel(string(tag[1:])), rest
	}
	return level, bytes.TrimPrefix(line, []byte("memberlist: "))
}

// logLevel never gives an error: what memberlist calls one is a peer that does
// not answer, or a stranger's bytes, and the pool lives on.
func logLevel(tag string) slog.Level {
	switch tag {
	case "DEBUG":
		return slog.LevelDebug
	case "WARN", "ERR", "ERROR":
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// accessLog writes one JSON line a message: every failure and refusal, and a
// sample of the successes and of what is shed, which is to cost little.
type accessLog struct {
	logger *slog.Logger // nil: off
	sample float64      // share of those, 0 to 1
}

func (l *accessLog) log(x *exchange, took time.Duration) {
	if l.logger == nil || (x.shed || x.succeeded()) && (l.sample == 0 || rand.Float64() >= l.sample) {
		return
	}
	route := "-"
	if x.decision.Route != nil {
		route = x.decision.Route.Name
	}
	l.logger.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("device", x.message.Device.ID),
		slog.String("method", x.message.Method),
		slog.String("host", x.message.Host),
		slog.String("path", x.message.Path),
		slog.String("proto", x.r.Proto),
		slog.String("route", route),
		slog.String("class", x.className()),
		slog.String("service", x.decision.Target.String()),
		slog.String("verdict", x.outcome()),
		slog.String("region", x.region),
		slog.String("instance", x.instance),
		slog.Int("status", x.status),
		slog.Int("attempts", x.attempts),
		slog.Duration("waited", x.waited),
		slog.Duration("took", took),
	)
}

func (x *exchange) succeeded() bool { return x.reason == "" && x.status < 400 }

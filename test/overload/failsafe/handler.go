// Package failsafe is what a Go programmer might write instead of an agent: a
// reverse proxy behind failsafe-go's prioritised adaptive limiter.
package failsafe

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/priority"
)

// longestWait for a slot; what waits longer is refused.
const longestWait = 500 * time.Millisecond

// Handler forwards to upstream ("host:port") what the limiter lets through.
// The limiter has its defaults, but begins low and looks at more recent times,
// for a service that answers in milliseconds. It is asked directly: the
// library's own handler does not pass the request's context, and with it the
// priority, to the limiter (v0.9.8).
func Handler(upstream string) http.Handler {
	prioritizer := adaptivelimiter.NewPrioritizer()
	prioritizer.ScheduleCalibrations(context.Background(), 100*time.Millisecond)
	limiter := adaptivelimiter.NewBuilder[*http.Response]().
		WithLimits(1, 200, 8).
		WithRecentWindow(100*time.Millisecond, time.Second, 50).
		BuildPrioritized(prioritizer)
	proxy := proxyTo(upstream)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A level at random within the priority, as the library advises.
		ctx := priority.ContextWithLevel(r.Context(), priorityOf(r.URL.Path).RandomLevel())
		permit, err := limiter.AcquirePermitWithMaxWait(ctx, longestWait)
		if err != nil {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		defer permit.Record()
		proxy.ServeHTTP(w, r)
	})
}

func proxyTo(upstream string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return proxy
}

func priorityOf(path string) priority.Priority {
	switch {
	case strings.HasPrefix(path, "/critical"):
		return priority.VeryHigh
	case strings.HasPrefix(path, "/high"):
		return priority.High
	case strings.HasPrefix(path, "/normal"):
		return priority.Medium
	}
	return priority.VeryLow
}

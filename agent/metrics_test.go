package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidegate/tidegate/policy"
)

const conditional = `
service "svc" {
}
route "picky" {
  match {
    path = "/x"
    when = "request.headers['x-absent'] == 'a'"
  }
  respond {
    status = 200
  }
}
`

func TestConditionsThatFailAreCounted(t *testing.T) {
	a := handling(t, conditional, http.NotFoundHandler())
	rec := httptest.NewRecorder()
	a.handle(rec, httptest.NewRequest("GET", "/x", nil), policy.Device{})
	if got := testutil.ToFloat64(a.metrics.failed); rec.Code != http.StatusNotFound || got != 1 {
		t.Errorf("status %d, %g conditions failed; want 404 and 1", rec.Code, got)
	}
}

// A handler that returns without a word acknowledges the message with a 200.
func TestDeviceThatLeftIsNotAcknowledged(t *testing.T) {
	a := handling(t, benchPolicy, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "/v1/devices/d/telemetry", strings.NewReader("x")).WithContext(ctx)
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v, not by breaking off", got)
		}
		if n := a.active.Load(); n != 0 {
			t.Errorf("%d messages are still counted as in flight", n)
		}
	}()
	a.handle(httptest.NewRecorder(), r, policy.Device{})
}

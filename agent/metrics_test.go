package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

func TestRoutesAndRegionsThatAreGoneLeaveNoSeries(t *testing.T) {
	a := handling(t, benchPolicy, http.NotFoundHandler())
	m := a.metrics
	stay := []boundKey{
		{noRoute, 0, "", "no-route"}, {"telemetry", policy.High, "eu-1", "ok"}, {"egress.svc", policy.Normal, "eu-1", "ok"},
	}
	for _, k := range append([]boundKey{
		{"removed", policy.High, "eu-1", "ok"}, {"removed", policy.High, "eu-1", "timeout"}, {"telemetry", policy.Bulk, "eu-1", "ok"},
		{"telemetry", policy.High, "mars", "ok"}, {"egress.removed", policy.Normal, "eu-1", "ok"},
	}, stay...) {
		m.done(k, time.Millisecond)
	}
	m.doneFor("mars", "ok")
	m.prune(a.view.Load())
	if r, l, s := testutil.CollectAndCount(m.requests), testutil.CollectAndCount(m.latency), testutil.CollectAndCount(m.served); r != len(stay) || l != len(stay) || s != 0 {
		t.Errorf("%d of requests, %d of latency, %d of regions served are left", r, l, s)
	}
	for _, k := range append(stay, boundKey{"removed", policy.High, "eu-1", "ok"}) {
		before := testutil.ToFloat64(m.requests.WithLabelValues(k.route, k.class.String(), k.region, k.outcome))
		m.done(k, time.Millisecond)
		if got := testutil.ToFloat64(m.requests.WithLabelValues(k.route, k.class.String(), k.region, k.outcome)); got != before+1 {
			t.Errorf("%+v: %g after %g: what is counted after a prune is not seen", k, got, before)
		}
	}
}

package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/edge"
)

// stalls gives some of a body, then fails as the edge does.
type stalls struct{ left int }

func (s *stalls) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, edge.ErrStalled
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

func TestStalledBodyIsTheDevicesFault(t *testing.T) {
	for name, length := range map[string]int64{"read ahead": 100, "streamed": 1 << 20, "of unknown length": -1} {
		a := handling(t, benchPolicy, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		r := httptest.NewRequest("POST", "/v1/devices/d/telemetry", io.NopCloser(&stalls{left: 50}))
		r.ContentLength = length
		rec := httptest.NewRecorder()
		a.handle(rec, r, policy.Device{})
		if rec.Code != http.StatusRequestTimeout || strings.Contains(rec.Body.String(), "127.0.0.1") {
			t.Errorf("%s: status %d, want 408, without an instance's address: %s", name, rec.Code, rec.Body)
		}
	}
}

func TestAccessLogSaysWhatBecameOfAMessage(t *testing.T) {
	a := handling(t, benchPolicy, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	var out bytes.Buffer
	a.access = accessLog{logger: slog.New(slog.NewJSONHandler(&out, nil)), sample: 1}
	r := httptest.NewRequest("POST", "/v1/devices/d/telemetry?token=secret", strings.NewReader("x"))
	r.Header.Set("Authorization", "Bearer secret")
	a.handle(httptest.NewRecorder(), r, policy.Device{ID: "d-1"})
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	for key, want := range map[string]string{"device": "d-1", "route": "telemetry", "class": "high", "service": "svc", "verdict": "ok",
		"region": "eu-1", "status": "202", "attempts": "1"} {
		if got := fmt.Sprint(line[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	waited, took := line["waited"].(float64), line["took"].(float64)
	if waited <= 0 || took < waited || line["instance"] == "" {
		t.Errorf("waited %g, took %g, instance %v", waited, took, line["instance"])
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a secret is in the log: %s", &out)
	}

	out.Reset()
	a.access.sample = 0
	a.handle(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/devices/d/telemetry", strings.NewReader("x")), policy.Device{})
	if out.Len() != 0 {
		t.Errorf("a success is logged at sample 0: %s", &out)
	}
	a.handle(httptest.NewRecorder(), httptest.NewRequest("GET", "/nowhere", nil), policy.Device{})
	if !strings.Contains(out.String(), `"verdict":"no-route"`) {
		t.Errorf("a refusal is not logged: %s", &out)
	}
}

func TestPeersWordsDoNotBecomeLabels(t *testing.T) {
	for _, c := range []struct {
		header, value string
		status        int
		want          string
		notSent       bool
	}{
		{headerRefused, reasonNoInstance, 503, reasonNoInstance, true},
		{headerRefused, "made-up-1", 503, reasonUpstream, true},
		{headerFailed, "made-up-2", 502, reasonUpstream, false},
		{headerFailed, reasonTimeout, 504, reasonTimeout, false},
		{"X-Other", "", 99, reasonUpstream, false},
		{"X-Other", "", 1000, reasonUpstream, false},
	} {
		f := farFailure(&http.Response{StatusCode: c.status, Header: http.Header{c.header: {c.value}}})
		if f == nil || f.reason != c.want || f.notSent != c.notSent || !f.leaves {
			t.Errorf("%s %q, status %d: %+v", c.header, c.value, c.status, f)
		}
	}
	if f := farFailure(&http.Response{StatusCode: 503, Header: http.Header{}}); f != nil {
		t.Errorf("a service's own 503 is taken for the agent's: %+v", f)
	}
}

func TestFarAgentGetsLessTimeThanThereIs(t *testing.T) {
	for _, c := range []struct{ left, rtt, want time.Duration }{
		{time.Second, 40 * time.Millisecond, 955 * time.Millisecond},
		{time.Second, 0, 995 * time.Millisecond},
		{100 * time.Millisecond, time.Second, 75 * time.Millisecond},
	} {
		if got := farDeadline(c.left, c.rtt); got != c.want {
			t.Errorf("of %s at a round trip of %s the far agent gets %s, want %s", c.left, c.rtt, got, c.want)
		}
	}
}

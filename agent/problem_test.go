package agent

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"
)

func TestProblemsAreValidJSONWhateverTheySay(t *testing.T) {
	for _, detail := range []string{"", "plain", `a "quoted" \ path`, "line\nbreak", "ü and \xff", "<script>"} {
		rec := httptest.NewRecorder()
		writeProblem(rec, problem{Status: http.StatusServiceUnavailable, Detail: detail, Class: "bulk", Reason: "overload", RetryAfterMS: 2713})
		want := map[string]any{"type": "about:blank", "title": "Service Unavailable", "status": 503.0, "detail": asJSON(t, detail),
			"class": "bulk", "reason": "overload", "retry_after_ms": 2713.0}
		if detail == "" {
			delete(want, "detail")
		}
		var got map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v: %s", detail, err, rec.Body)
		}
		h := rec.Header()
		if rec.Code != 503 || h.Get("Retry-After") != "3" || h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Length") != strconv.Itoa(rec.Body.Len()) {
			t.Errorf("status %d, header %v", rec.Code, h)
		}
	}
}

// asJSON is s as it looks after a passage through JSON.
func asJSON(t *testing.T, s string) (out string) {
	t.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhoIsToldToComeBackIsSpreadAndLaterTheMoreIsRejected(t *testing.T) {
	for _, c := range []struct {
		rejected float64
		least    int64
	}{{-1, 1000}, {0, 1000}, {0.5, 3000}, {1, 5000}, {7, 5000}} {
		lowest, highest := int64(1<<62), int64(0)
		for range 2000 {
			ms := retryAfter(c.rejected)
			lowest, highest = min(lowest, ms), max(highest, ms)
		}
		if lowest < c.least || lowest > c.least*11/10 || highest >= 2*c.least || highest < c.least*19/10 {
			t.Errorf("share %g: %d to %d ms, want all of %d to twice that", c.rejected, lowest, highest, c.least)
		}
	}
}

package mesh

import (
	"strings"
	"testing"
	"time"
)

// Share is the share of requests that succeeded within a time.
func Share(results []Result, within time.Duration) float64 {
	good := 0
	for _, r := range results {
		if r.OK() && r.Latency <= within {
			good++
		}
	}
	return float64(good) / float64(max(len(results), 1))
}

// stallBound is how late a request may be sent on a machine that can measure
// fractions of a second.
const stallBound = 100 * time.Millisecond

// Stalled says whether the machine was too busy to send the requests on time:
// their latencies then say little of the mesh.
func Stalled(results []Result) bool {
	for _, r := range results {
		if r.Late > stallBound {
			return true
		}
	}
	return false
}

// NoneFailed fails the test with the first requests that failed, if any did.
func NoneFailed(t testing.TB, what string, results []Result) {
	t.Helper()
	Judge(t, what, results, answerWithin, 1)
}

// Judge fails the test when the share of requests that succeeded within a time
// is below least. It shows the first ones that did not.
func Judge(t testing.TB, what string, results []Result, within time.Duration, least float64) {
	t.Helper()
	slowest, share := time.Duration(0), Share(results, within)
	var bad []string
	for _, r := range results {
		slowest = max(slowest, r.Latency)
		if (!r.OK() || r.Latency > within) && len(bad) < 5 {
			bad = append(bad, r.String())
		}
	}
	t.Logf("%s: %.2f%% of %d requests succeeded within %s, the slowest took %s",
		what, 100*share, len(results), within, slowest.Round(time.Millisecond))
	if len(results) == 0 || share < least {
		t.Errorf("%s: %.2f%% of %d requests, want %.2f%%; among the others:\n%s",
			what, 100*share, len(results), 100*least, strings.Join(bad, "\n"))
	}
}

package mesh

import (
	"testing"
	"time"
)

// Await polls missing, every 20 ms, until it says that nothing is missing any
// more (""), and fails the test with what still is when that takes longer than
// within.
func Await(t testing.TB, within time.Duration, missing func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-tick.C
	}
}

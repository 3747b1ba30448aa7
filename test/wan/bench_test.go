//go:build linux

package wan

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkRouter offers 20,000 packets a second, at a delay of 10 ms, and says
// how many came, how much later than that (the median and the 99th percentile,
// with what sender and receiver add) and how much CPU all of it took.
func BenchmarkRouter(b *testing.B) {
	w := network(b, Config{Regions: []string{"a", "b"}, Setup: []string{"set a b delay=10ms"}})
	const packets, gap = 40000, 50 * time.Microsecond
	for b.Loop() {
		before := cpu(b)
		got := flow(b, w.Region("a"), w.Region("b"), packets, 200, gap)
		used := cpu(b) - before
		var late []time.Duration
		for _, a := range got {
			late = append(late, a.took-10*time.Millisecond)
		}
		slices.Sort(late)
		b.ReportMetric(float64(len(got))/packets*100, "%arrived")
		b.ReportMetric(late[len(late)/2].Seconds()*1000, "ms-late-p50")
		b.ReportMetric(late[len(late)*99/100].Seconds()*1000, "ms-late-p99")
		b.ReportMetric(used.Seconds()/(packets*gap).Seconds()*100, "%cpu")
	}
}

// BenchmarkIdle says how much CPU three regions take while nothing flows.
func BenchmarkIdle(b *testing.B) {
	network(b, Config{Setup: []string{"set * * delay=10ms jitter=1ms"}})
	for b.Loop() {
		before := cpu(b)
		time.Sleep(3 * time.Second)
		b.ReportMetric((cpu(b)-before).Seconds()/3*100, "%cpu")
	}
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

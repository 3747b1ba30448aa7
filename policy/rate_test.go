package policy

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func limits(t interface {
	Helper()
	Fatal(...any)
}, blocks string) []RateRule {
	t.Helper()
	p, err := Parse(File{Name: "p.hcl", Src: []byte("access \"a\" {\n allow {}\n" + blocks + "\n}\nroute \"r\" {\n respond {}\n}\n")})
	if err != nil {
		t.Fatal(err)
	}
	return p.Access(&Message{Method: "GET", Path: "/", Device: Device{ID: "d"}}, nil).Limits
}

func TestRatesLetABurstThroughAndThenTheRate(t *testing.T) {
	rules, d := limits(t, "limit {\n rate = \"10/s\"\n burst = 3\n}"), &Device{ID: "d"}
	var r Rates
	now := time.Unix(1_700_000_000, 0)
	for i, wait := range []time.Duration{0, 0, 0, 100 * time.Millisecond} {
		if got := r.Take(now, rules, d); got != wait {
			t.Fatalf("message %d waits %v, want %v", i, got, wait)
		}
	}
	if got := r.Take(now, rules, &Device{ID: "e"}); got != 0 {
		t.Errorf("another device waits %v", got)
	}
	now = now.Add(100 * time.Millisecond)
	if first, second := r.Take(now, rules, d), r.Take(now, rules, d); first != 0 || second != 100*time.Millisecond {
		t.Errorf("after the wait: %v, %v", first, second)
	}
}

func TestDevicesOfOneTenantShareItsRateAndARefusalCostsNone(t *testing.T) {
	rules := limits(t, "limit {\n rate = \"1/h\"\n}\nlimit {\n by = \"tenant\"\n rate = \"60/h\"\n burst = 3\n}")
	device := func(i int, tenant string) *Device {
		return &Device{ID: fmt.Sprint(i), Properties: map[string]string{"tenant": tenant}}
	}
	var r Rates
	now := time.Unix(1_700_000_000, 0)
	for i := range 5 {
		if got, want := r.Take(now, rules, device(i, "a")) > 0, i >= 3; got != want {
			t.Errorf("device %d of the tenant refused: %v", i, got)
		}
	}
	if r.Take(now, rules, device(9, "b")) > 0 {
		t.Error("another tenant's device is refused")
	}
	now = now.Add(time.Minute)
	if wait := r.Take(now, rules, device(4, "a")); wait > 0 {
		t.Errorf("a device that was refused for its tenant's sake waits another %v", wait)
	}
}

// In no stretch of time more than the burst and what the rate allows, and never
// less than asked for by one that keeps to the rate.
func TestRatesKeepTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		burst, perMinute := rapid.IntRange(1, 20).Draw(t, "burst"), rapid.IntRange(1, 6000).Draw(t, "rate")
		rules := limits(t, fmt.Sprintf("limit {\n rate = \"%d/m\"\n burst = %d\n}", perMinute, burst))
		var r Rates
		now, d := time.Unix(1_700_000_000, 0), &Device{ID: "d"}
		interval := float64(time.Minute) / float64(perMinute)
		var taken []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.Float64Range(0, 3).Draw(t, "gap") * interval))
			wait := r.Take(now, rules, d)
			if wait == 0 {
				taken = append(taken, now)
			} else if got := r.Take(now.Add(wait), rules, d); got != 0 {
				t.Fatalf("told to wait %v, and then %v", wait, got)
			} else {
				now = now.Add(wait)
				taken = append(taken, now)
			}
			for i, from := range taken {
				if n := len(taken) - i; float64(n) > float64(burst)+float64(now.Sub(from))/interval+1e-6*float64(n) {
					t.Fatalf("%d within %v", n, now.Sub(from))
				}
			}
		}
		now = now.Add(time.Duration(float64(burst) * interval * 1.01))
		for i := range 3 * burst {
			if wait := r.Take(now, rules, d); wait > 0 {
				t.Fatalf("one that keeps to the rate waits %v at its message %d", wait, i)
			}
			now = now.Add(time.Duration(interval) + 2)
		}
	})
}

func TestRatesForgetDevicesThatAreQuiet(t *testing.T) {
	rules := limits(t, "limit {\n rate = \"1/s\"\n burst = 2\n}")
	var r Rates
	now := time.Unix(1_700_000_000, 0)
	for i := range 100_000 {
		r.Take(now, rules, &Device{ID: fmt.Sprint(i)})
		now = now.Add(time.Millisecond)
	}
	// A device counts for a second; twice as many may lie about, and the least of each shard.
	if n := r.kept(); n > 2*1000+rateShards*rateKeysLeast {
		t.Errorf("%d devices are remembered", n)
	}
}

func BenchmarkRatesTake(b *testing.B) {
	rules := limits(b, "limit {\n rate = \"1000000/s\"\n burst = 100000\n}")
	var r Rates
	devices := make([]Device, 1000)
	for i := range devices {
		devices[i].ID = fmt.Sprint(i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r.Take(time.Now(), rules, &devices[i%len(devices)])
		}
	})
}

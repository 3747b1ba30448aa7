package judge

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestQuantileIsTheNearestRank(t *testing.T) {
	var times []time.Duration
	for i := 1000; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := Quantile(times, q); got != want {
			t.Errorf("%g: %d, want %d", q, got, want)
		}
	}
	if got := Quantile(nil, 0.99); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func TestClaimsNeedSamples(t *testing.T) {
	if why := TooFew(9999, 0.999); !strings.Contains(why, "10000") {
		t.Errorf("9999 samples: %q", why)
	}
	if why := TooFew(10000, 0.999); why != "" {
		t.Errorf("10000 samples: %q", why)
	}
	if why := TooFew(1000, 0.99); why != "" {
		t.Errorf("1000 samples: %q", why)
	}
}

func TestSamplingNoiseIsNoSwing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	windowsOf := func(share func(i int) float64) (windows []Window) {
		for i := range 400 {
			w := Window{All: 1600}
			for range w.All {
				if rng.Float64() < share(i) {
					w.Part++
				}
			}
			windows = append(windows, w)
		}
		return windows
	}
	if got := Swing(windowsOf(func(int) float64 { return 0.5 })); got > 0.6 {
		t.Errorf("a steady share swings by %.2f points", got)
	}
	swinging := windowsOf(func(i int) float64 { return 0.5 + 0.05*math.Pow(-1, float64(i)) })
	if got := Swing(swinging); math.Abs(got-5) > 0.3 {
		t.Errorf("a share that swings by 5 points: %.2f", got)
	}
}

func TestRecoveryIsTheEndOfTheLastBadWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		good []bool
		want time.Duration
		last bool
	}{
		"always good":   {[]bool{true, true}, 0, false},
		"relapse":       {[]bool{false, true, false, true}, 300 * time.Millisecond, false},
		"never":         {[]bool{true, false}, 200 * time.Millisecond, true},
		"nothing known": {nil, 0, false},
	} {
		if got, last := Recovered(tc.good, 100*time.Millisecond); got != tc.want || last != tc.last {
			t.Errorf("%s: %s, %t", name, got, last)
		}
	}
}

func TestSpoiledRunsAreNotJudged(t *testing.T) {
	fit := Conditions{Busy: 0.8, Late: 5 * time.Millisecond}
	if why := fit.Unfit(); why != "" {
		t.Errorf("a fit run: %s", why)
	}
	for _, c := range []Conditions{{Busy: 0.81}, {Late: 5001 * time.Microsecond}, {Overruns: 1}} {
		if c.Unfit() == "" {
			t.Errorf("%+v is judged", c)
		}
		if fit.Worse(c).Unfit() == "" {
			t.Errorf("%+v is judged beside a fit run", c)
		}
	}
	bar := AtLeast("success", 100, "%", 99.9).Refuse("busy")
	if bar.Pass || bar.Refused != "busy" {
		t.Errorf("%+v", bar)
	}
}

func TestBoundsHoldAtTheBound(t *testing.T) {
	if !AtLeast("a", 99.9, "%", 99.9).Pass || AtLeast("a", 99.89, "%", 99.9).Pass {
		t.Error("at least")
	}
	if !AtMost("a", 3, "points", 3).Pass || AtMost("a", 3.01, "points", 3).Pass {
		t.Error("at most")
	}
}

func TestBusyCountsEverybodysTime(t *testing.T) {
	before, err := parseTimes("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseTimes("cpu  140 5 120 760 120 3 2 10 50 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Busy(before); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("busy %g", got) // 40+5+20+3+2+10 of 160
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu a 2 3 4 5 6 7 8"} {
		if _, err := parseTimes(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

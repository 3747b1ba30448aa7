//go:build linux

package wan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wires is a network without namespaces: nothing flows.
func wires(names ...string) *WAN {
	w := &WAN{}
	for i, name := range names {
		w.regions = append(w.regions, &Region{Name: name, number: i + 1})
	}
	for _, from := range w.regions {
		for _, to := range w.regions {
			if from != to {
				w.links = append(w.links, &link{from: from, to: to})
			}
		}
	}
	return w
}

func (w *WAN) cuts() string {
	var all []string
	for _, d := range w.Directions() {
		if d.Profile.Cut {
			all = append(all, strings.ReplaceAll(d.From+">"+d.To, "-1", ""))
		}
	}
	return strings.Join(all, " ")
}

func TestLinesNameDirections(t *testing.T) {
	for line, want := range map[string]string{
		"cut us-1 ap-1":       "us>ap ap>us",
		"cut us ap":           "us>ap ap>us",
		"cut eu->us":          "eu>us eu-2>us",
		"cut eu-2->*":         "eu-2>eu eu-2>us eu-2>ap",
		"cut eu eu":           "eu>eu-2 eu-2>eu",
		"isolate ap-1":        "eu>ap eu-2>ap us>ap ap>eu ap>eu-2 ap>us",
		"cut * * / heal eu *": "us>ap ap>us",
		"cut * * / heal":      "",
		"cut * * / reset":     "",
	} {
		w := wires("eu-1", "eu-2", "us-1", "ap-1")
		for part := range strings.SplitSeq(line, " / ") {
			if err := w.Do(part); err != nil {
				t.Errorf("%s: %v", part, err)
			}
		}
		if got := w.cuts(); got != want {
			t.Errorf("%q cuts %q, want %q", line, got, want)
		}
	}
}

func TestLinesThatMakeNoSenseChangeNothing(t *testing.T) {
	w := wires("eu-1", "us-1", "us-2")
	do(t, w, "set eu-1->us-1 delay=20ms jitter=10ms")
	before := fmt.Sprint(w.Directions())
	for _, line := range []string{
		"", "cut", "cut eu-1", "cut eu-1 ap-1", "cut eu-1 us-1 now", "cut eu-1 eu-1", "isolate", "isolate eu-1 us-1", "melt eu-1 us-1",
		"set eu-1 us-1", "set eu-1 us-1 delay", "set eu-1 us-1 delay=fast", "set eu-1 us-1 delay=11s", "set eu-1 us-1 speed=1",
		"set eu-1 us-1 loss=5", "set eu-1 us-1 loss=100%", "set eu-1 us-1 loss=-1%", "set eu-1 us-1 loss=NaN%", "set eu-1 us-1 burst=NaN",
		"set eu-1 us-1 loss=50% burst=9 burstloss=40%", "set eu-1 us-1 rate=1", "set eu-1 us-1 rate=1e300gbit", "set eu-1 us-1 queue=1gb",
		"set eu-1 us-1 mtu=100", "set eu-1 us-1 mtu=9000",
		"set us->eu-1 delay=5ms jitter=6ms", "set eu-1 us jitter=15ms", // fits the one with 20 ms only
	} {
		if err := w.Do(line); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", line, err)
		}
	}
	if after := fmt.Sprint(w.Directions()); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestProfileReadsBackWhatItSays(t *testing.T) {
	share := rapid.Map(rapid.IntRange(0, 999), func(n int) float64 { return float64(n) / 1000 })
	rapid.Check(t, func(t *rapid.T) {
		p := Profile{
			Delay: time.Duration(rapid.IntRange(0, 5000).Draw(t, "delay")) * time.Millisecond,
			Loss:  share.Draw(t, "loss"), Burst: float64(rapid.IntRange(0, 50).Draw(t, "burst")),
			Rate: rapid.Int64Range(0, 1e9).Draw(t, "rate"), Queue: rapid.IntRange(0, 1e6).Draw(t, "queue"),
			Reorder: share.Draw(t, "reorder"), Duplicate: share.Draw(t, "duplicate"),
			MTU: rapid.SampledFrom([]int{0, 576, 1280, 1500}).Draw(t, "mtu"), Cut: rapid.Bool().Draw(t, "cut"),
		}
		p.Jitter = p.Delay / 3
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		var again Profile
		for word := range strings.FieldsSeq(p.String()) {
			if err := again.Set(word); err != nil {
				t.Fatal(err)
			}
		}
		if again != p {
			t.Errorf("%s reads back as %+v", p.String(), again)
		}
	})
}

func FuzzDo(f *testing.F) {
	for _, line := range []string{"set eu-1 us-1 delay=20ms loss=1%", "cut eu->us", "heal", "set * * rate=1mbit queue=1kb mtu=1400"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		w := wires("eu-1", "us-1")
		if err := w.Do(line); err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", line, err)
		}
		for _, l := range w.links {
			if err := l.profile.check(); err != nil {
				t.Errorf("%q left %v", line, err)
			}
		}
	})
}

package device

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func namesOf(all places) string {
	var names []string
	for _, p := range all {
		names = append(names, p.Addr)
	}
	return strings.Join(names, " ")
}

func TestPlacesAreRankedByRoundTripAndRegionsTakeTurns(t *testing.T) {
	now := time.Unix(1000, 0)
	a1 := &place{Endpoint: Endpoint{"a1", "a"}, rtt: 10 * time.Millisecond}
	a2 := &place{Endpoint: Endpoint{"a2", "a"}, rtt: 11 * time.Millisecond}
	b1 := &place{Endpoint: Endpoint{"b1", "b"}, rtt: 50 * time.Millisecond}
	b2 := &place{Endpoint: Endpoint{"b2", "b"}} // taken for b1's
	far := &place{Endpoint: Endpoint{"far", ""}, rtt: 300 * time.Millisecond}
	new1 := &place{Endpoint: Endpoint{"new", "n"}} // taken for 100 ms
	all := places{far, b2, a2, new1, b1, a1}
	for range 20 { // ties are decided by lot
		if got := namesOf(all.ranked(now)); got != "a1 b1 new far a2 b2" && got != "a1 b2 new far a2 b1" {
			t.Fatalf("ranked %s", got)
		}
	}
	a1.failed(now)
	b2.avoid = now.Add(time.Hour)
	if got := namesOf(all.ranked(now)); got != "a2 b1 new far a1 b2" {
		t.Errorf("after failures ranked %s", got)
	}
	if got := namesOf(all.ranked(now.Add(2 * time.Hour))); !strings.HasPrefix(got, "a1 b") {
		t.Errorf("long after failures ranked %s", got)
	}
}

func TestAPlaceThatFailsIsAvoidedEverLonger(t *testing.T) {
	now := time.Unix(1000, 0)
	var p place
	for i := range 20 {
		p.failed(now)
		bound := min(avoidLeast<<min(i, 10), avoidMost)
		if d := p.avoid.Sub(now); d < bound/2 || d > bound {
			t.Errorf("failure %d: avoided for %s, want up to %s", i, d, bound)
		}
	}
	p.worked(time.Millisecond)
	if !p.avoided(now).IsZero() || p.failures != 0 {
		t.Error("still avoided after it worked")
	}
}

func TestOnlyAClearlyNearerPlaceIsWorthMoving(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		to, from time.Duration
		worth    bool
	}{
		{10 * time.Millisecond, 100 * time.Millisecond, true},
		{79 * time.Millisecond, 100 * time.Millisecond, true},
		{81 * time.Millisecond, 100 * time.Millisecond, false},
		{time.Millisecond, 5 * time.Millisecond, false},
		{200 * time.Millisecond, 100 * time.Millisecond, false},
		{time.Millisecond, 0, false},
	} {
		if got := worthMoving(c.to, c.from); got != c.worth {
			t.Errorf("from %s to %s: %v", c.from, c.to, got)
		}
	}
	here := &place{Endpoint: Endpoint{"here", "h"}, rtt: 100 * time.Millisecond}
	near := &place{Endpoint: Endpoint{"near", "n"}, rtt: 10 * time.Millisecond}
	unknown := &place{Endpoint: Endpoint{"unknown", "u"}}
	all := places{here, near, unknown}
	if got := all.nearer(here, now); got != near {
		t.Errorf("nearer: %+v", got)
	}
	near.failed(now)
	if got := all.nearer(here, now); got == near {
		t.Error("nearer, and just failed")
	}
}

func TestServerReferences(t *testing.T) {
	known := &place{Endpoint: Endpoint{"a.example:7443", "a"}, rtt: time.Millisecond}
	all := places{known}
	for reference, want := range map[string]string{
		"":                                    "",
		"a.example:7443":                      "a.example:7443",
		"b.example:7443 a.example:7443":       "b.example:7443 a.example:7443",
		"b.example:7443,[2001:db8::1]:7443":   "b.example:7443 [2001:db8::1]:7443",
		"b.example, :7443, x:y, b:99999, b:1": "b:1",
		"a:1 b:2 c:3 d:4 e:5":                 "a:1 b:2 c:3 d:4",
	} {
		if got := namesOf(all.referred(reference)); got != want {
			t.Errorf("%q: %s", reference, got)
		}
	}
	if got := all.referred("a.example:7443"); got[0] != known {
		t.Error("a known place is not recognised")
	}
}

func TestAttemptsAreStaggeredAndTCPComesLater(t *testing.T) {
	a, b, c := &place{Endpoint: Endpoint{"a", ""}}, &place{Endpoint: Endpoint{"b", ""}}, &place{Endpoint: Endpoint{"c", ""}}
	list := func(together int, w ways) string {
		var s []string
		for _, at := range itinerary(places{a, b, c}, together, 100*time.Millisecond, w) {
			s = append(s, at.place.Addr+"/"+string(at.wire)+"@"+at.after.String())
		}
		return strings.Join(s, " ")
	}
	for want, got := range map[string]string{
		"a/quic@0s b/quic@100ms c/quic@200ms a/tcp@300ms b/tcp@400ms c/tcp@500ms": list(1, ways{true, true, 3}),
		"a/quic@0s b/quic@0s c/quic@0s a/tcp@300ms b/tcp@300ms c/tcp@300ms":       list(3, ways{true, true, 3}),
		"a/tcp@0s b/tcp@100ms c/tcp@200ms":                                        list(1, ways{false, true, 3}),
		"a/quic@0s b/quic@0s c/quic@100ms":                                        list(2, ways{true, false, 3}),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAFarPlaceIsGivenMoreTime(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0: 250 * time.Millisecond, 20 * time.Millisecond: 250 * time.Millisecond, 100 * time.Millisecond: 400 * time.Millisecond, time.Minute: time.Second,
	} {
		if got := stagger(250*time.Millisecond, places{{rtt: rtt}}); got != want {
			t.Errorf("%s away: %s, want %s", rtt, got, want)
		}
	}
	if got := stagger(time.Second, nil); got != time.Second {
		t.Errorf("nowhere: %s", got)
	}
}

func TestFullJitterStaysInItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attempt := rapid.IntRange(0, 100).Draw(t, "attempt")
		d := fullJitter(attempt, 500*time.Millisecond, 30*time.Second)
		if d < 0 || d > 30*time.Second || attempt < 5 && d > 500*time.Millisecond<<attempt {
			t.Fatalf("attempt %d: %s", attempt, d)
		}
	})
	var all []time.Duration
	for range 1000 {
		all = append(all, fullJitter(10, 500*time.Millisecond, 30*time.Second))
	}
	if slices.Min(all) > 3*time.Second || slices.Max(all) < 27*time.Second {
		t.Errorf("between %s and %s: that is not all of it", slices.Min(all), slices.Max(all))
	}
}

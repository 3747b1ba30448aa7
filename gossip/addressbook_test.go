package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func never(*address) bool { return false }

func TestAddressIsTriedForEverWithGrowingJitteredPauses(t *testing.T) {
	b, now := newAddressBook(), time.Now()
	b.configure([]string{"10.0.0.1:7946"}, now)
	const least, most = 100 * time.Millisecond, time.Second
	pauses := make(map[time.Duration]bool)
	for i := range 50 {
		if got := b.due(8, now, never); len(got) != 1 {
			t.Fatalf("attempt %d: due %v", i, got)
		}
		if again := b.due(8, now, never); len(again) != 0 {
			t.Fatalf("attempt %d is made twice", i)
		}
		b.tried("10.0.0.1:7946", now, least, most)
		next := b.entries["10.0.0.1:7946"].next
		pause := next.Sub(now)
		if pause < least/2 || pause > most*3/2 {
			t.Fatalf("attempt %d: pause %s", i, pause)
		}
		pauses[pause] = true
		now = next
	}
	if len(pauses) < 40 {
		t.Errorf("no jitter: %d different pauses of 50", len(pauses))
	}
}

func TestLiveMemberResetsThePause(t *testing.T) {
	b, now := newAddressBook(), time.Now()
	b.configure([]string{"a:1"}, now)
	for range 10 {
		b.due(1, now.Add(time.Hour), never)
		b.tried("a:1", now, time.Second, time.Minute)
	}
	b.sight("a:1", "eu-1", true, now)
	if got := b.due(1, now, never); len(got) != 1 {
		t.Error("after being live it should be tried at once")
	}
}

func TestAddressBookIsBoundedAndKeepsWhatIsConfigured(t *testing.T) {
	b, now := newAddressBook(), time.Now()
	b.configure([]string{"configured:1"}, now.Add(-time.Hour))
	for i := range 2 * maxAddresses {
		b.sight(fmt.Sprintf("learned:%d", i), "eu-1", false, now.Add(time.Duration(i)))
	}
	if len(b.entries) > maxAddresses || b.entries["configured:1"] == nil {
		t.Errorf("%d entries", len(b.entries))
	}
	b.forget(now.Add(time.Hour))
	if len(b.entries) != 1 {
		t.Errorf("%d entries are left after all were forgotten", len(b.entries))
	}
}

func TestNoMoreAddressesAreTriedThanAskedFor(t *testing.T) {
	b, now := newAddressBook(), time.Now()
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("a:%02d", i))
	}
	b.configure(all, now)
	first, second := b.due(8, now, never), b.due(8, now, never)
	if len(first) != 8 || len(second) != 8 || slices.ContainsFunc(first, func(a string) bool { return slices.Contains(second, a) }) {
		t.Errorf("due: %v, then %v", first, second)
	}
}

package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

// inst is an instance of alarms at an address of its own.
func inst(id string, status Status) Instance {
	return Instance{ID: id, Service: "alarms", Address: id + ":80", Status: status}
}

func following(t *testing.T, shelf map[string]saved) *ledger {
	t.Helper()
	l := newLedger(300*time.Second, shelf)
	if !l.follow([]string{"alarms"}, t0) {
		t.Fatal("following a new service is no change")
	}
	return l
}

// wantStates compares as "id=status ...", sorted by ID.
func wantStates(t *testing.T, l *ledger, want string) {
	t.Helper()
	var got []string
	for _, i := range l.snapshot().Services["alarms"] {
		got = append(got, fmt.Sprintf("%s=%s", i.ID, i.Status))
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("instances %q, want %q", s, want)
	}
}

func TestAbsentInstanceIsDistrustedForABoundedTime(t *testing.T) {
	l := following(t, map[string]saved{})
	l.answer("alarms", []Instance{inst("a", Ready), inst("b", Ready), inst("c", Critical)}, false, at(0))
	wantStates(t, l, "a=ready b=ready c=critical")
	l.answer("alarms", []Instance{inst("a", Ready)}, false, at(10))
	wantStates(t, l, "a=ready b=distrusted c=distrusted")
	l.answer("alarms", []Instance{inst("a", Ready), inst("c", Ready)}, false, at(100))
	wantStates(t, l, "a=ready b=distrusted c=ready")
	if l.expire(at(309)) {
		t.Error("forgotten before its time")
	}
	if !l.expire(at(310)) {
		t.Error("not forgotten in time")
	}
	wantStates(t, l, "a=ready c=ready")
}

func TestInstanceListedUnderAnotherIDIsNotKeptTwice(t *testing.T) {
	l := following(t, map[string]saved{})
	l.answer("alarms", []Instance{inst("a", Ready)}, false, at(0))
	moved := inst("a2", Ready)
	moved.Address = "a:80"
	l.answer("alarms", []Instance{moved}, false, at(1))
	wantStates(t, l, "a2=ready")
}

func TestEmptyAnswerKeepsLastKnownGoodThenDistrustsItButNeverForgets(t *testing.T) {
	l := following(t, map[string]saved{})
	l.answer("alarms", []Instance{inst("a", Ready), inst("b", Critical)}, false, at(0))
	if l.answer("alarms", nil, false, at(10)) {
		t.Error("an empty answer counts as a change of instances")
	}
	s := l.snapshot()
	if !s.Stale || !errors.Is(s.Err, ErrEmpty) || !s.Updated.Equal(at(0)) {
		t.Errorf("after an empty answer: %+v", s)
	}
	wantStates(t, l, "a=ready b=critical")
	l.answer("alarms", nil, false, at(200)) // the first empty answer counts, not the last
	l.expire(at(310))
	wantStates(t, l, "a=distrusted b=distrusted")
	l.expire(at(100000))
	wantStates(t, l, "a=distrusted b=distrusted")
	l.answer("alarms", []Instance{inst("b", Ready)}, false, at(100001))
	wantStates(t, l, "a=distrusted b=ready")
	if s := l.snapshot(); s.Stale || s.Err != nil {
		t.Errorf("still stale after a good answer: %v", s.Err)
	}
	l.expire(at(100301))
	wantStates(t, l, "b=ready")
}

func TestFilteredAnswerTakesNothingAway(t *testing.T) {
	l := following(t, map[string]saved{})
	l.answer("alarms", []Instance{inst("a", Ready), inst("b", Ready)}, false, at(0))
	l.answer("alarms", []Instance{inst("a", Critical)}, true, at(10))
	wantStates(t, l, "a=critical b=ready")
	l.answer("alarms", nil, true, at(20))
	l.expire(at(10000))
	wantStates(t, l, "a=critical b=ready")
	if s := l.snapshot(); !errors.Is(s.Err, ErrFiltered) || !s.Updated.Equal(at(0)) {
		t.Errorf("after filtered answers: %+v", s)
	}
}

func TestServiceThatNeverHadInstancesIsNotStale(t *testing.T) {
	l := following(t, map[string]saved{})
	if s := l.snapshot(); !s.Stale || s.Source != SourceNone || s.Age(at(100)) != 0 {
		t.Errorf("before any answer: %+v", s)
	}
	l.answer("alarms", nil, false, at(1))
	if s := l.snapshot(); s.Stale || s.Err != nil || s.Source != SourceConsul {
		t.Errorf("after an empty first answer: %+v", s)
	}
}

func TestFailureKeepsEverythingAndAgeGrows(t *testing.T) {
	l := following(t, map[string]saved{})
	l.answer("alarms", []Instance{inst("a", Ready)}, false, at(0))
	l.fail("alarms", errors.New("refused"))
	wantStates(t, l, "a=ready")
	if s := l.snapshot(); !errors.Is(s.Err, ErrUnavailable) || s.Age(at(50)) != 50*time.Second {
		t.Errorf("after a failure: %+v, age %s", s, s.Age(at(50)))
	}
}

func TestLastKnownGoodOfAnEarlierRunServesUntilTheFirstAnswer(t *testing.T) {
	shelf := map[string]saved{
		"alarms": {Updated: at(-60), Instances: []Instance{inst("a", Ready), inst("b", Distrusted)}},
		"other":  {Updated: at(-60), Instances: []Instance{{ID: "o", Service: "other", Address: "o:80"}}},
	}
	l := following(t, shelf)
	if s := l.snapshot(); s.Source != SourceDisk || !s.Stale || s.Age(t0) != time.Minute {
		t.Errorf("before any answer: %+v", s)
	}
	wantStates(t, l, "a=ready b=distrusted")
	if kept := l.save(); len(kept["other"].Instances) != 1 {
		t.Error("a service nobody follows yet is lost on the next write")
	}
	l.answer("alarms", []Instance{inst("c", Ready)}, false, at(1))
	wantStates(t, l, "a=distrusted b=distrusted c=ready")
	if s := l.snapshot(); s.Source != SourceConsul {
		t.Errorf("source %q after an answer", s.Source)
	}
}

func TestClockThatWentBackDoesNotMakeTheLastKnownGoodYounger(t *testing.T) {
	l := following(t, map[string]saved{"alarms": {Updated: at(1000), Instances: []Instance{inst("a", Ready)}}})
	if s := l.snapshot(); !s.Updated.Equal(t0) || s.Age(at(5)) != 5*time.Second {
		t.Errorf("updated %s, age %s", s.Updated, s.Age(at(5)))
	}
}

func TestSnapshotErrorNamesEachKindAndSomeServices(t *testing.T) {
	l := newLedger(time.Minute, map[string]saved{})
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("s%02d", i))
	}
	l.follow(append(names, "gone"), t0)
	for _, name := range names {
		l.fail(name, errors.New("refused"))
	}
	l.answer("gone", []Instance{{ID: "g", Service: "gone", Address: "g:1"}}, false, t0)
	l.answer("gone", nil, false, t0)
	err := l.snapshot().Err
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrEmpty) || errors.Is(err, ErrFiltered) {
		t.Errorf("kinds of %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "s00, s01, s02, s03, s04 and 15 more: refused") || !strings.Contains(text, "gone") {
		t.Errorf("error reads %q", text)
	}
}

func TestIndexThatGoesBackStartsAgainAndZeroIsNeverAskedTwice(t *testing.T) {
	for _, c := range []struct{ asked, answered, want uint64 }{
		{0, 7, 7}, {7, 9, 9}, {7, 7, 7}, {9, 3, 0}, {0, 0, 1}, {9, 0, 0},
	} {
		if got := nextIndex(c.asked, c.answered); got != c.want {
			t.Errorf("asked from %d, answered %d: next %d, want %d", c.asked, c.answered, got, c.want)
		}
	}
}

func TestBackoffDoublesToItsMostWithJitter(t *testing.T) {
	b := backoff{least: time.Second, most: 30 * time.Second}
	for _, top := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if d := b.next(); d < top*time.Second/2 || d > top*time.Second {
			t.Errorf("pause %s, want %ds at most and half of it at least", d, top)
		}
	}
	b.reset()
	if d := b.next(); d > time.Second {
		t.Errorf("pause %s after a reset", d)
	}
}

package device

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	testSilence   = time.Second
	testKeepAlive = 20 * time.Second
)

// watchOver looks whenever the vigil wants to, and returns when it asked and
// when it held the agent for dead; -1: never.
func watchOver(v *vigil, start time.Time, until time.Duration, heard func(time.Duration) uint64, underWay func(time.Duration) bool) (asked []time.Duration, died time.Duration) {
	for now := time.Duration(0); now <= until; {
		switch v.look(start.Add(now), heard(now), underWay(now), 0) {
		case ask:
			asked = append(asked, now)
		case dead:
			return asked, now
		case well:
		}
		now = max(v.due.Sub(start), now+time.Millisecond)
	}
	return asked, -1
}

func never(time.Duration) uint64     { return 0 }
func nothing(time.Duration) bool     { return false }
func everything(time.Duration) bool  { return true }
func lively(t time.Duration) uint64  { return uint64(t / (100 * time.Millisecond)) }
func answers(t time.Duration) uint64 { return uint64((t - time.Millisecond) / testKeepAlive) }

func TestASilentAgentIsNoticedInTime(t *testing.T) {
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		heard    func(time.Duration) uint64
		underWay func(time.Duration) bool
		asked    int
		first    time.Duration
		died     time.Duration
	}{
		"silent while something is under way": {never, everything, 1, testSilence / 2, testSilence},
		"silent while nothing is":             {never, nothing, 1, testKeepAlive, testKeepAlive + testSilence},
		"heard all the time":                  {lively, everything, 0, 0, -1},
		"idle, and answers":                   {answers, nothing, 3, testKeepAlive, -1},
	} {
		v := newVigil(testSilence, testKeepAlive, start)
		asked, died := watchOver(&v, start, 65*time.Second, c.heard, c.underWay)
		if name == "heard all the time" {
			c.asked = len(asked) // for the keep-alive: nothing new was sent meanwhile
		}
		if len(asked) != c.asked || died != c.died || c.asked > 0 && c.first > 0 && asked[0] != c.first {
			t.Errorf("%s: asked at %v, dead after %s; want %d from %s on, %s", name, asked, died, c.asked, c.first, c.died)
		}
	}
}

// A message after a long time without any does not find the agent dead.
func TestSilenceCountsFromTheMessageOn(t *testing.T) {
	start := time.Unix(1000, 0)
	v := newVigil(testSilence, testKeepAlive, start)
	v.look(start, 0, false, 0)
	late := start.Add(testKeepAlive - time.Second)
	v.spoke(late)
	if got := v.look(late, 0, true, 0); got != well {
		t.Fatalf("at once: %d", got)
	}
	if got := v.look(late.Add(testSilence/2), 0, true, 0); got != ask {
		t.Errorf("after half the silence: %d", got)
	}
	if got := v.look(late.Add(testSilence), 0, true, 0); got != dead {
		t.Errorf("after the silence: %d", got)
	}
}

// Devices that are late because everybody is bear more each time, until a
// connection has lasted.
func TestSilenceThatGoesOnIsBorneLonger(t *testing.T) {
	var c Client
	var got []time.Duration
	for _, lived := range []time.Duration{time.Hour, time.Second, time.Second, 2 * time.Second, time.Second, time.Second, provenAfter} {
		c.alarmed(ErrSilent, lived)
		got = append(got, patience(time.Second, c.alarms)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 8, 8, 1}; !slices.Equal(got, want) {
		t.Errorf("seconds borne: %d, want %d", got, want)
	}
	if c.alarmed(ErrLeaving, time.Second); c.alarms != 0 {
		t.Error("an agent that left is no alarm")
	}
}

// A process that was stopped for a minute does not blame the agent.
func TestTheOwnSleepIsForgiven(t *testing.T) {
	start := time.Unix(1000, 0)
	v := newVigil(testSilence, testKeepAlive, start)
	v.spoke(start)
	v.look(start, 0, true, 0)
	woken := start.Add(time.Minute)
	if got := v.look(woken, 0, true, 0); got == dead {
		t.Fatal("dead, for our own sleep")
	}
	if _, died := watchOver(&v, woken, 10*time.Second, never, everything); died <= 0 || died > testSilence {
		t.Errorf("then dead after %s", died)
	}
}

// Whatever happens: an agent that answers what it is asked within a quarter of
// the silence is never held for dead, and one that does not is, in time.
func TestVigil(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		v := newVigil(testSilence, testKeepAlive, start)
		dies := time.Duration(rapid.IntRange(0, 30_000).Draw(t, "dies after ms")) * time.Millisecond
		heard, answerAt, busyUntil, asked := uint64(0), time.Duration(-1), time.Duration(0), time.Duration(-1)
		for now := time.Duration(0); now < 60*time.Second; {
			if answerAt >= 0 && now >= answerAt && now < dies {
				heard++
				answerAt = -1
			}
			if rapid.IntRange(0, 9).Draw(t, "send") == 0 {
				if busyUntil = now + time.Duration(rapid.IntRange(0, 3000).Draw(t, "for ms"))*time.Millisecond; now >= dies {
					busyUntil = time.Hour // nobody answers
				}
				v.spoke(start.Add(now))
			}
			switch v.look(start.Add(now), heard, now < busyUntil, 0) {
			case ask:
				asked = now
				answerAt = now + time.Duration(rapid.IntRange(0, 250).Draw(t, "answers after ms"))*time.Millisecond
			case dead:
				if now < dies {
					t.Fatalf("dead at %s, it died at %s", now, dies)
				}
				if now-asked > testSilence {
					t.Fatalf("asked at %s, dead at %s", asked, now)
				}
				return
			case well:
			}
			next := v.due.Sub(start)
			if answerAt >= 0 {
				next = min(next, answerAt)
			}
			now = max(min(next, now+time.Duration(rapid.IntRange(100, 5000).Draw(t, "step ms"))*time.Millisecond), now+time.Millisecond)
		}
		t.Fatalf("it died at %s, unnoticed", dies)
	})
}

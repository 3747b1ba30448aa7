package policy

import (
	"testing"
	"time"
)

func TestRegionRTTIsThatOfTheNearestPeer(t *testing.T) {
	l := NewLiveness(DefaultLivenessConfig())
	if _, ok := l.RegionRTT("far"); ok {
		t.Error("measured from nothing")
	}
	l.Watch("far", []string{"f1", "f2"}, livenessTime)
	l.RTT("far", "f1", 30*time.Millisecond, livenessTime)
	l.RTT("far", "f2", 12*time.Millisecond, livenessTime)
	l.RTT("far", "stranger", time.Millisecond, livenessTime)
	l.RTT("far", "f2", -time.Millisecond, livenessTime)
	if rtt, ok := l.RegionRTT("far"); !ok || rtt != 12*time.Millisecond {
		t.Errorf("%v, %v", rtt, ok)
	}
}

func TestJitterDoesNotReorderRegions(t *testing.T) {
	var s SteadyRTT
	for i := range 100 {
		if got := s.Follow(20*time.Millisecond + time.Duration(i%5)*time.Millisecond); got != 20*time.Millisecond {
			t.Fatalf("follows jitter: %v", got)
		}
	}
	if got := s.Follow(26 * time.Millisecond); got != 26*time.Millisecond {
		t.Errorf("does not follow a real change: %v", got)
	}
	var near SteadyRTT
	near.Follow(200 * time.Microsecond)
	if got := near.Follow(1500 * time.Microsecond); got != 200*time.Microsecond {
		t.Errorf("follows noise on a short way: %v", got)
	}
}

// silenceNeeded feeds round trips, then measures the silence until down.
func silenceNeeded(rtts ...time.Duration) time.Duration {
	l, now := NewLiveness(DefaultLivenessConfig()), livenessTime
	l.Watch("far", []string{"f1"}, now)
	for _, rtt := range rtts {
		now = now.Add(probeEvery)
		l.Heard("far", "f1", now)
		l.RTT("far", "f1", rtt, now)
		l.Tick(now, nil)
	}
	for last := now; ; {
		now = now.Add(10 * time.Millisecond)
		if len(l.Tick(now, nil)) > 0 {
			return now.Sub(last)
		}
	}
}

func TestASwellingRoundTripLengthensTheSilence(t *testing.T) {
	steady := silenceNeeded(20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)
	if steady != 710*time.Millisecond {
		t.Errorf("steady: %v", steady)
	}
	// 20 + (220-20)/8 = 45: 25 ms above the floor, four times that more.
	if got := silenceNeeded(20*time.Millisecond, 220*time.Millisecond); got != steady+100*time.Millisecond {
		t.Errorf("swollen: %v", got)
	}
	if got := silenceNeeded(20*time.Millisecond, 10*time.Second); got != steady+maxRTTExcess {
		t.Errorf("swollen beyond measure: %v", got)
	}
}

func TestALongerWayIsNoExcessAfterAMinute(t *testing.T) {
	var p peerRTT
	now := livenessTime
	for i := range 2400 { // two minutes
		rtt := 20 * time.Millisecond
		if i > 600 {
			rtt = 120 * time.Millisecond
		}
		p.measure(rtt, now)
		now = now.Add(probeEvery)
	}
	if p.excess() != 0 {
		t.Errorf("a longer route counts as excess %v for ever", p.excess())
	}
}

package flood

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted answers after a time that grows or shrinks with the attempts.
type scripted struct {
	send func(context.Context, *Shot) Answer
}

func (s scripted) Pick(*Kind, *rand.Rand) Device               { return s }
func (s scripted) Close()                                      {}
func (s scripted) Home() int                                   { return 0 }
func (s scripted) Send(ctx context.Context, shot *Shot) Answer { return s.send(ctx, shot) }
func planOf(rate float64, lasts time.Duration) *Plan {
	return &Plan{Kinds: []Kind{{Weight: 1}}, Timeout: time.Second, Seed: 1, Phases: []Phase{{lasts, rate}}}
}

func TestArrivalsDoNotWaitForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := planOf(100, 10*time.Second)
		p.Even = true
		load := Run(t.Context(), p, scripted{func(ctx context.Context, _ *Shot) Answer {
			time.Sleep(3 * time.Second)
			return Answer{Status: 200}
		}})
		if len(load.Results) < 998 || len(load.Results) > 1000 {
			t.Errorf("%d requests", len(load.Results))
		}
		for _, r := range load.Results {
			if r.Took != 3*time.Second || r.Late != 0 || r.Attempts != 1 || !r.OK() {
				t.Fatalf("%+v", r)
			}
		}
	})
}

func TestPoissonArrivalsFollowFromTheSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := scripted{func(context.Context, *Shot) Answer { return Answer{Status: 200} }}
		p := planOf(1000, 10*time.Second)
		p.Phases = append(p.Phases, Phase{10 * time.Second, 2000})
		one, two := Run(t.Context(), p, answer), Run(t.Context(), p, answer)
		if len(one.Results) != len(two.Results) {
			t.Errorf("%d and %d requests", len(one.Results), len(two.Results))
		}
		counts := map[uint16]int{}
		for _, r := range one.Results {
			counts[r.Phase]++
		}
		if counts[0] < 9600 || counts[0] > 10400 || counts[1] < 19500 || counts[1] > 20500 {
			t.Errorf("requests by phase %v", counts)
		}
	})
}

func TestClientsComeBackWhenTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := planOf(1, 2*time.Second)
		p.Even, p.Retry = true, Retry{Attempts: 3, Wait: 100 * time.Millisecond}
		tries := 0
		load := Run(t.Context(), p, scripted{func(_ context.Context, s *Shot) Answer {
			if s.ID == "" || time.Until(s.Deadline) > time.Second {
				t.Errorf("%+v", s)
			}
			if tries++; tries == 3 {
				return Answer{Status: 200}
			}
			return Answer{Status: 503, RetryAfter: 2 * time.Second}
		}})
		if r := load.Results[0]; r.Attempts != 3 || r.Took != 4*time.Second || !r.OK() {
			t.Errorf("%+v", r)
		}
	})
}

func TestReasonsAreRead(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":503,"reason":"overload"}`: "overload",
		`{"reason": "queue-full"}`:           "queue-full",
		`{"reason":`:                         "",
		`{}`:                                 "",
	} {
		if got := reasonIn([]byte(body)); got != want {
			t.Errorf("%s: %q", body, got)
		}
	}
}

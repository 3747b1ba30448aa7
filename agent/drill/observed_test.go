package drill

import (
	"context"
	"errors"
	"testing"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// watching observes what other devices do, through both agents of a mesh.
const watching = `
drill "watching" {
  hypothesis = "devices do not notice"
  duration   = "4s"
  observe {}
  steady {
    success = 80
  }
  step "slow" {
    at  = "1s"
    for = "2s"
    slow_service {
      region  = "eu-2"
      service = "alarms"
      takes   = "200ms"
    }
  }
  invariant "it works" {
    metric   = "success"
    at_least = 99
    samples  = 100
  }
  invariant "slow at eu-2" {
    metric  = "p99"
    edge    = "eu-2"
    class   = "critical"
    from    = "slow"
    until   = "slow.end"
    at_most = 100
  }
  invariant "not at eu-1" {
    metric  = "p99"
    edge    = "eu-1"
    at_most = 100
  }
  invariant "eu-1 serves its half" {
    metric   = "share"
    region   = "eu-1"
    at_least = 40
  }
  invariant "views are built" {
    metric   = "prometheus"
    series   = "tidegate_views_total"
    take     = "increase"
    at_least = 2
  }
}
`

func TestObservedTrafficIsThatOfOthers(t *testing.T) {
	m, first := running(t)
	_, second := askedAt(m, 1)
	first.Others = []Ask{second.Ask}
	ctx, cancel := context.WithCancel(t.Context())
	others := parse(t, short, "1").Load
	others.Duration, others.Extra, others.Seed = 0, nil, 1
	m.Aim(&others)
	sent := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, others)
		sent <- err
	}()
	rep, err := Run(t.Context(), parse(t, watching), Options{Running: first})
	cancel()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for n, pass := range []bool{true, false, true, true, true} {
		if v := rep.Invariants[n]; v.Pass != pass || v.Samples == 0 {
			t.Errorf("%+v", v)
		}
	}
	if all := rep.Invariants[0].Samples; all < 170 || all > 230 {
		t.Errorf("%d requests were seen, about 200 were sent", all)
	}
	if rep.Load != nil || rep.Ledger != nil {
		t.Errorf("%+v", rep)
	}
}

func TestNothingToObserveGivesNoVerdict(t *testing.T) {
	_, r := running(t)
	if rep, err := Run(t.Context(), parse(t, watching), Options{Running: r}); err != nil || rep.Outcome != NoVerdict {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := Run(t.Context(), parse(t, watching), Options{}); !errors.Is(err, policy.ErrInvalid) {
		t.Error(err)
	}
}

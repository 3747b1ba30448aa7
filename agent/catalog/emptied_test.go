package catalog_test

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

const thisAgent = `[{"Node":{"Node":"n1","Address":"10.0.0.1"},"Service":{"ID":"tidegate-a1","Service":"tidegate","Port":7443}}]`

// trusting follows "alarms" and believes at once what is confirmed.
func trusting(t *testing.T, s *scripted, register bool) *catalog.Consul {
	t.Helper()
	c, err := catalog.NewConsul(catalog.ConsulConfig{Address: s.URL, DistrustFor: "0s", TTL: "1h",
		Timing: catalog.Timing{MinBackoff: 20 * time.Millisecond, MaxBackoff: 40 * time.Millisecond, MinPause: time.Millisecond},
	}, catalog.Options{Region: "eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	if register {
		if err := c.Register(t.Context(), catalog.Self{Name: "a1", EdgeAddr: "10.0.0.1:7443"}); err != nil {
			t.Fatal(err)
		}
	}
	return running(t, c, "alarms")
}

// gone is what Consul says after the last instance was deregistered: the watch's
// answer, the same asked again without blocking, then the confirmation.
func gone(confirmed answer) []answer {
	empty := answer{index: "11", body: "[]"}
	return []answer{{index: "10", body: oneInstance}, empty, empty, confirmed}
}

func TestServiceWithoutInstancesIsBelievedOnceConsulConfirmsIt(t *testing.T) {
	s := script(t, gone(answer{index: "11", body: "[]"})...)
	s.agents = thisAgent
	c := trusting(t, s, true)
	await(t, c, "forgotten", both(fresh, func(s *catalog.Snapshot) bool { return s.Index > 1 && len(s.Services["alarms"]) == 0 }))
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.consistent); n != 1 || s.asked[3] != "" || !s.consistent[3] {
		t.Errorf("asked from %q, consistently %v; want the fourth alone to be so", s.asked, s.consistent)
	}
}

func TestServiceWithoutInstancesIsNotBelievedInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		answers      []answer
		agents       string
		unregistered bool
	}{
		"instances after all":           {answers: gone(answer{index: "12", body: oneInstance}), agents: thisAgent},
		"instances withheld":            {answers: gone(answer{index: "11", body: "[]", filtered: true}), agents: thisAgent},
		"index of the reader is older":  {answers: gone(answer{index: "9", body: "[]"}), agents: thisAgent},
		"agents are gone too":           {answers: gone(answer{index: "11", body: "[]"}), agents: "[]"},
		"another agent is listed only":  {answers: gone(answer{index: "11", body: "[]"}), agents: oneInstance},
		"token is gone":                 {answers: gone(answer{index: "11", body: "[]"})},
		"this agent is not registered":  {answers: gone(answer{index: "11", body: "[]"}), agents: thisAgent, unregistered: true},
		"server was emptied and filled": {agents: thisAgent, answers: []answer{{index: "10", body: oneInstance}, {index: "3", body: "[]"}, {index: "3", body: "[]"}, {index: "40", body: "[]"}, {index: "41", body: "[]"}, {index: "42", body: "[]"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := script(t, c.answers...)
			s.agents = c.agents
			catalogue := trusting(t, s, !c.unregistered)
			s.queries(t, len(c.answers)+1) // the last one blocks
			snap := catalogue.Snapshot()
			if len(snap.Services["alarms"]) != 1 || !stale(catalog.ErrEmpty)(snap) {
				t.Errorf("%d instances, error %v", len(snap.Services["alarms"]), snap.Err)
			}
		})
	}
}

func TestConsulServiceDeregisteredOnPurposeIsForgotten(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t, consultest.Config{DC: "eu-1"})
	b := newBackend(t, "alarms", "alarms-1")
	placeInConsul(t, s, b, passing())
	cfg := consulConfig(s)
	cfg.DistrustFor, cfg.WaitTime = "1s", "500ms"
	c := observe(t, s, cfg, "", "alarms")
	await(t, c, "ready", both(fresh, has(b, catalog.Ready)))
	if err := c.Register(t.Context(), self(nil)); err != nil {
		t.Fatal(err)
	}

	removeFromConsul(t, s, b)
	await(t, c, "doubted", both(stale(catalog.ErrEmpty), has(b, catalog.Ready)))
	await(t, c, "forgotten", both(fresh, func(s *catalog.Snapshot) bool { return find(s, b).ID == "" }))

	for range 100 { // a server that lived: its successor's index is below
		if _, err := s.Client().KV().Put(&api.KVPair{Key: "x"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	placeInConsul(t, s, b, passing())
	await(t, c, "back", both(fresh, has(b, catalog.Ready)))
	s.RestartEmpty()
	await(t, c, "emptied", both(stale(catalog.ErrEmpty), has(b, catalog.Distrusted)))
	consultest.Eventually(t, soon, "this agent is registered with the emptied server", registeredAs(s, "passing"))
	asked := c.gauge(t, "tidegate_catalog_errors_total", "empty")
	consultest.Eventually(t, soon, "several empty answers later", func() bool {
		return c.gauge(t, "tidegate_catalog_errors_total", "empty") > asked+3
	})
	if got := c.Snapshot(); !has(b, catalog.Distrusted)(got) {
		t.Errorf("what an emptied server says was believed: %s", show(got))
	}
}

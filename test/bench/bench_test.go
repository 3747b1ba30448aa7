package main

import (
	"testing"
	"time"
)

func targetsOf(agent, bare, caddy time.Duration) []*target {
	of := func(name string, cpu time.Duration) *target {
		// A wild run on either side must not move the verdict.
		return &target{name: name, samples: []sample{{cpu: 9 * cpu}, {cpu: cpu}, {cpu: 1}, {cpu: cpu}, {cpu: cpu}}}
	}
	return []*target{of(nameAgent, agent), of(nameBare, bare), of(nameCaddy, caddy)}
}

func TestBarsJudgeTheMedians(t *testing.T) {
	for name, tc := range map[string]struct {
		agent, bare, caddy time.Duration
		overBare, under    bool
	}{
		"cheap":                    {100, 50, 300, true, true},
		"dear beside bare":         {100, 30, 300, false, true},
		"too close to caddy":       {100, 50, 200, true, false},
		"exactly at the bars":      {270, 100, 594, true, true},
		"faster than bare is fine": {40, 50, 300, true, true},
	} {
		bars := barsOf(targetsOf(tc.agent, tc.bare, tc.caddy))
		if bars[0].Pass != tc.overBare || bars[1].Pass != tc.under {
			t.Errorf("%s: %+v", name, bars)
		}
	}
}

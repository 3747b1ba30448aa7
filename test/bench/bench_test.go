package main

import (
	"testing"
	"time"
)

func targetsOf(agent, bare, caddy, tls, quic time.Duration) []*target {
	of := func(name string, cpu time.Duration) *target {
		// A wild run on either side must not move the verdict.
		return &target{name: name, samples: []sample{{cpu: 9 * cpu}, {cpu: cpu}, {cpu: 1}, {cpu: cpu}, {cpu: cpu}}}
	}
	return []*target{of(nameAgent, agent), of(nameBare, bare), of(nameCaddy, caddy), of(nameTLS, tls), of(nameQUIC, quic)}
}

func TestBarsJudgeTheMedians(t *testing.T) {
	for name, tc := range map[string]struct {
		agent, bare, caddy, tls, quic time.Duration
		pass                          [4]bool
	}{
		"cheap":                    {100, 50, 300, 50, 80, [4]bool{true, true, true, true}},
		"dear beside bare":         {100, 30, 300, 50, 80, [4]bool{false, true, true, true}},
		"too close to caddy":       {100, 50, 200, 50, 80, [4]bool{true, false, true, true}},
		"exactly at the bars":      {270, 100, 594, 270, 270, [4]bool{true, true, true, true}},
		"faster than bare is fine": {40, 50, 300, 20, 30, [4]bool{true, true, true, true}},
		"MQTT is dear":             {100, 50, 300, 101, 101, [4]bool{true, true, false, false}},
	} {
		bars := barsOf(targetsOf(tc.agent, tc.bare, tc.caddy, tc.tls, tc.quic))
		if [4]bool{bars[0].Pass, bars[1].Pass, bars[2].Pass, bars[3].Pass} != tc.pass {
			t.Errorf("%s: %+v", name, bars)
		}
	}
}

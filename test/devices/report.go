package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// bar is a promise about a figure.
type bar struct {
	Bar   string  `json:"bar"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bound string  `json:"bound"`
	Pass  bool    `json:"pass"`
}

// What an idle connection may cost beyond a bare one, in bytes.
const (
	mostOverTLS  = 8_000
	mostOverQUIC = 10_000
)

// report prints the bars and says whether all hold.
func report(bars []bar, asJSON bool) bool {
	all := true
	for _, b := range bars {
		all = all && b.Pass
		if asJSON {
			_ = json.NewEncoder(os.Stdout).Encode(b)
			continue
		}
		verdict := "holds"
		if !b.Pass {
			verdict = "BROKEN"
		}
		fmt.Printf("%-36s %6.1f %s (%s) %s\n", b.Bar, b.Value, b.Unit, b.Bound, verdict)
	}
	return all
}

// barsOf takes what a connection costs in bytes, by kind.
func barsOf(cost map[string]float64) []bar {
	over := func(name string, value, most float64) bar {
		return bar{name, value / 1000, "kB", fmt.Sprintf("≤ %g", most/1000), value <= most}
	}
	return []bar{
		over("idle MQTT on TLS over crypto/tls", cost[mqttTLS]-cost[bareTLS], mostOverTLS),
		over("idle MQTT on QUIC over quic-go", cost[mqttQUIC]-cost[bareQUIC], mostOverQUIC),
	}
}

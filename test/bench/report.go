package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// bar is a promise about the medians.
type bar struct {
	Bar   string  `json:"bar"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bound string  `json:"bound"`
	Pass  bool    `json:"pass"`
}

const (
	mostOverBare   = 2.7 // agent's CPU a request ÷ the bare handler's
	leastUnderPeer = 2.2 // Caddy's CPU a request ÷ the agent's
	mostOverHTTP   = 1.0 // agent's CPU a message at QoS 1 ÷ that of the same over HTTP/3
)

// report prints the table and the bars and tells whether all bars hold.
func report(targets []*target, asJSON bool) bool {
	bars := barsOf(targets)
	if asJSON {
		table(os.Stderr, targets)
	} else {
		table(os.Stdout, targets)
	}
	for _, b := range bars {
		if asJSON {
			json.NewEncoder(os.Stdout).Encode(b)
			continue
		}
		verdict := "holds"
		if !b.Pass {
			verdict = "BROKEN"
		}
		fmt.Printf("%-24s %.2f%s (%s) %s\n", b.Bar, b.Value, b.Unit, b.Bound, verdict)
	}
	return !slices.ContainsFunc(bars, func(b bar) bool { return !b.Pass })
}

func barsOf(targets []*target) []bar {
	cpu := map[string]float64{}
	for _, t := range targets {
		cpu[t.name] = float64(medianOf(t.samples, func(s sample) time.Duration { return s.cpu }))
	}
	overBare, underPeer := cpu[nameAgent]/cpu[nameBare], cpu[nameCaddy]/cpu[nameAgent]
	byTLS, byQUIC := cpu[nameTLS]/cpu[nameAgent], cpu[nameQUIC]/cpu[nameAgent]
	return []bar{
		{"agent/bare CPU", overBare, "×", fmt.Sprint("≤ ", mostOverBare), overBare <= mostOverBare},
		{"caddy/agent CPU", underPeer, "×", fmt.Sprint("≥ ", leastUnderPeer), underPeer >= leastUnderPeer},
		{"MQTT on TLS/HTTP/3 CPU", byTLS, "×", fmt.Sprint("≤ ", mostOverHTTP), byTLS <= mostOverHTTP},
		{"MQTT on QUIC/HTTP/3 CPU", byQUIC, "×", fmt.Sprint("≤ ", mostOverHTTP), byQUIC <= mostOverHTTP},
	}
}

func table(w io.Writer, targets []*target) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "server\tCPU µs/request\trequests/s\tp99 ms\t")
	for _, t := range targets {
		fmt.Fprintf(tw, "%s\t%.1f\t%.0f\t%.1f\t\n", t.name,
			micros(medianOf(t.samples, func(s sample) time.Duration { return s.cpu })),
			medianOf(t.samples, func(s sample) float64 { return s.throughput }),
			float64(medianOf(t.samples, func(s sample) time.Duration { return s.p99 }))/1e6)
	}
	tw.Flush()
}

func medianOf[T cmp.Ordered](samples []sample, of func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Command gossipscale runs the gossip of a whole mesh in one process and judges
// how old reports are at its agents and how many bytes they cost.
//
//	go run ./test/gossipscale [--json] [--regions 20] [--services 200] [--agents 5]
//
// The meshes are real, with production timing; their transport is in memory,
// 0.3 ms inside a region and 40 ms (one way) between regions. Bytes are those of
// memberlist's messages, encrypted, with headers of IP and UDP or TCP, and those
// of vectors pulled over probes with 100 for QUIC; sent and received. The probes
// themselves, which measure liveness, are not counted. It fails when the process
// could not keep its own schedule: its ages are then the machine's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	json                      bool
	regions, services, agents int
	measure                   time.Duration
	seed                      uint64
}

// bar is one line of the verdict.
type bar struct {
	Bar   string  `json:"bar"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bound float64 `json:"bound,omitempty"`
	Pass  bool    `json:"pass"`
}

func main() {
	var o options
	flag.BoolVar(&o.json, "json", false, "one JSON object a line")
	flag.IntVar(&o.regions, "regions", 20, "regions")
	flag.IntVar(&o.services, "services", 200, "services of each region")
	flag.IntVar(&o.agents, "agents", 5, "agents of each region")
	flag.DurationVar(&o.measure, "for", 20*time.Second, "how long is measured")
	flag.Uint64Var(&o.seed, "seed", 1, "of what the services are asked")
	flag.Parse()
	if o.regions < 2 || o.regions > 250 || o.agents < 1 || o.agents > 250 || o.services < 1 {
		fmt.Fprintln(os.Stderr, "gossipscale: use 2 to 250 regions, 1 to 250 agents, at least 1 service")
		os.Exit(2)
	}
	bars, err := measure(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gossipscale:", err)
		os.Exit(1)
	}
	if !show(bars, o.json) {
		os.Exit(1)
	}
}

func show(bars []bar, asJSON bool) (passed bool) {
	passed = true
	for _, b := range bars {
		passed = passed && b.Pass
		if asJSON {
			line, err := json.Marshal(b)
			if err != nil {
				fmt.Fprintln(os.Stderr, "gossipscale:", err)
				return false
			}
			fmt.Println(string(line))
			continue
		}
		verdict := "pass"
		if !b.Pass {
			verdict = "FAIL"
		}
		bound := fmt.Sprintf("≤ %g %s", b.Bound, b.Unit)
		if b.Bound == 0 {
			verdict, bound = "", ""
		}
		fmt.Printf("%-44s %9.3f %-5s %-12s %s\n", b.Bar, b.Value, b.Unit, bound, verdict)
	}
	return passed
}

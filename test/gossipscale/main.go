// Command gossipscale runs the gossip of a whole mesh in one process and judges
// how old reports are at its agents and how many bytes they cost.
//
//	go run ./test/gossipscale [--json] [--regions 20] [--services 200] [--agents 5]
//
// The meshes are real, with production timing; their clock is testing/synctest's,
// which stands still while anybody works, so that how busy the machine is does
// not matter. Their transport is in memory: 0.3 ms inside a region and 40 ms (one
// way) between regions. Bytes are those of memberlist's messages, encrypted, with
// headers of IP and UDP or TCP, and those of vectors pulled over probes with 100
// for QUIC; sent and received. The probes themselves, which measure liveness, are
// not counted. At the end a region is cut off.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

type options struct {
	json                      bool
	regions, services, agents int
	measure, settle           time.Duration
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
	flag.DurationVar(&o.measure, "for", 30*time.Second, "how long is measured")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "how long it rests before that")
	flag.Uint64Var(&o.seed, "seed", 1, "of what the services are asked")
	flag.Parse()
	if o.regions < 2 || o.regions > 250 || o.agents < 1 || o.agents > 250 || o.services < 1 {
		fmt.Fprintln(os.Stderr, "gossipscale: use 2 to 250 regions, 1 to 250 agents, at least 1 service")
		os.Exit(2)
	}
	out := os.Stdout
	os.Stdout = os.Stderr // testing's own words
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "gossipscale", F: func(t *testing.T) { synctest.Test(t, func(t *testing.T) { run(t, o, out) }) },
	}}, nil, nil)
}

func run(t *testing.T, o options, out io.Writer) {
	bars, err := measure(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := show(out, bars, o.json); err != nil {
		t.Fatal(err)
	}
}

var errBound = errors.New("a bound does not hold")

func show(out io.Writer, bars []bar, asJSON bool) error {
	passed := true
	for _, b := range bars {
		passed = passed && b.Pass
		if err := b.print(out, asJSON); err != nil {
			return err
		}
	}
	if !passed {
		return errBound
	}
	return nil
}

func (b *bar) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(b)
	}
	verdict, bound := "pass", fmt.Sprintf("≤ %g %s", b.Bound, b.Unit)
	switch {
	case b.Bound == 0:
		verdict, bound = "", ""
	case !b.Pass:
		verdict = "FAIL"
	}
	_, err := fmt.Fprintf(out, "%-48s %9.3f %-5s %-12s %s\n", b.Bar, b.Value, b.Unit, bound, verdict)
	return err
}

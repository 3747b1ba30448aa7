package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// bar is a promise about a figure, or without a bound a figure for information.
type bar struct {
	Bar   string  `json:"bar"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bound string  `json:"bound,omitempty"`
	Pass  bool    `json:"pass"`
}

func atMost(name string, value, most float64, unit string) bar {
	return bar{name, value, unit, fmt.Sprintf("≤ %g", most), value <= most}
}

func atLeast(name string, value, least float64, unit string) bar {
	return bar{name, value, unit, fmt.Sprintf("≥ %g", least), value >= least}
}

func told(name string, value float64, unit string) bar { return bar{name, value, unit, "", true} }

// say tells the person who watches.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// report prints bars and says whether all hold.
func report(bars []bar, asJSON bool) bool {
	all := true
	for _, b := range bars {
		all = all && b.Pass
		if asJSON {
			_ = json.NewEncoder(os.Stdout).Encode(b)
			continue
		}
		fmt.Printf("%-52s %9.1f %-4s %s\n", b.Bar, b.Value, b.Unit, b.verdict())
	}
	return all
}

func (b *bar) verdict() string {
	switch {
	case b.Bound == "":
		return ""
	case b.Pass:
		return "(" + b.Bound + ") holds"
	}
	return "(" + b.Bound + ") BROKEN"
}

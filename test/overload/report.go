package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// report collects the bars of all experiments.
type report struct {
	json bool
	bars []judge.Bar
}

// add prints bars as JSON as soon as they are known.
func (r *report) add(bars []judge.Bar) {
	r.bars = append(r.bars, bars...)
	for _, b := range bars {
		if r.json {
			_ = json.NewEncoder(os.Stdout).Encode(b)
		}
	}
}

func (r *report) table(w io.Writer) {
	if r.json {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "bar\tvalue\tbound\tverdict")
	for _, b := range r.bars {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", b.Bar, figure(b.Value, b.Unit), b.Bound, verdict(b))
	}
	_ = t.Flush()
}

func figure(value float64, unit string) string {
	text := fmt.Sprintf("%.2f", value)
	if value == float64(int64(value)) {
		text = fmt.Sprintf("%.0f", value)
	}
	if unit == "%" || unit == "×" {
		return text + unit
	}
	return text + " " + unit
}

func verdict(b judge.Bar) string {
	switch {
	case b.Refused != "":
		return "NOT JUDGED: " + b.Refused
	case b.Pass:
		return "holds"
	}
	return "BROKEN"
}

// status is the program's exit status.
func (r *report) status() int {
	status := 0
	for _, b := range r.bars {
		switch {
		case b.Refused != "" && status == 0:
			status = 3
		case b.Refused == "" && !b.Pass:
			status = 1
		}
	}
	return status
}

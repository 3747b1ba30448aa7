package drill

import (
	"fmt"
	"io"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
)

// Report is the outcome of a drill.
type Report struct {
	Drill      string       `json:"drill"`
	Pass       bool         `json:"pass"`
	Invariants []Verdict    `json:"invariants"`
	Seconds    float64      `json:"seconds"`
	Load       *load.Report `json:"load"`
}

// fault is a step's, as it is asked for: were the drill to die, it would end
// by itself.
func (d *Drill) fault(s *Step) admin.Fault {
	f := s.Fault
	f.ID = stepPrefix + s.Name
	f.Seconds = (d.endOf(s) - s.At + grace).Seconds()
	return f
}

// order is a step's word on a region; it too would end by itself.
func (d *Drill) order(s *Step) admin.OverrideRequest {
	o := *s.Order
	o.ForSeconds = (d.endOf(s) - s.At + grace).Seconds()
	return o
}

// judge gives a verdict for each invariant, and one for the load when it was
// not what the drill asks for.
func (d *Drill) judge(rec *record, sum *load.Report) *Report {
	report := &Report{Drill: d.Name, Pass: true, Load: sum}
	for n := range d.Invariants {
		report.Invariants = append(report.Invariants, d.Invariants[n].judge(rec))
	}
	bound := float64(lateLimit.Milliseconds())
	if sum.LateP99 > bound || sum.Overruns > 0 {
		report.Invariants = append(report.Invariants, Verdict{
			Name: "the generator kept its schedule", Unit: "ms late", Value: sum.LateP99, Bound: bound,
			Note: fmt.Sprintf("no judgement: the load was not what the drill asks for; %d requests not sent", sum.Overruns)})
	}
	for _, v := range report.Invariants {
		report.Pass = report.Pass && v.Pass
	}
	return report
}

// Print writes the report for people, verdicts first.
func (rep *Report) Print(w io.Writer) {
	verdict := "PASS"
	if !rep.Pass {
		verdict = "FAIL"
	}
	fmt.Fprintf(w, "\n%s  drill %s, %.0f s\n", verdict, rep.Drill, rep.Seconds)
	width := 0
	for _, v := range rep.Invariants {
		width = max(width, len(v.Name))
	}
	for _, v := range rep.Invariants {
		mark := "held  "
		if !v.Pass {
			mark = "BROKEN"
		}
		fmt.Fprintf(w, "  %s  %-*s %10.3f %-8s bound %g (%d samples)", mark, width, v.Name, v.Value, v.Unit, v.Bound, v.Samples)
		if v.Note != "" {
			fmt.Fprint(w, "  ", v.Note)
		}
		fmt.Fprintln(w)
	}
	if rep.Load != nil {
		rep.Load.Print(w)
	}
}

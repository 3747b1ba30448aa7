package drill

import (
	"fmt"
	"io"
	"slices"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/ledger"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Report is the outcome of a drill.
type Report struct {
	Drill      string         `json:"drill"`
	Pass       bool           `json:"pass"`
	Invariants []Verdict      `json:"invariants"`
	Outcome    Outcome        `json:"outcome"`
	Why        string         `json:"why,omitempty"` // there is no verdict, or it was aborted
	Steady     []Verdict      `json:"steady"`
	Aborted    *Abortion      `json:"aborted,omitempty"`
	Ledger     *ledger.Ledger `json:"ledger,omitempty"`
	Seconds    float64        `json:"seconds"`
	Load       *load.Report   `json:"load,omitempty"`

	drill  *Drill
	record *record
}

// Outcome is how a drill ended.
type Outcome string

// The outcomes.
const (
	Held      Outcome = "held"
	Broken    Outcome = "broken"     // some invariant is
	Aborted   Outcome = "aborted"    // a condition to abort broke, and every fault was ended
	NoVerdict Outcome = "no verdict" // the mesh was sick already, and nothing was broken
)

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

// report sums up how it went.
func (r *run) report(sum *load.Report) *Report {
	var report *Report
	switch {
	case r.sick:
		report = &Report{Outcome: NoVerdict, Why: "no verdict: the mesh was sick already: " + firstBroken(r.steady)}
	case r.aborted != nil:
		why := fmt.Sprintf("aborted at %.1f s: %s: %s", r.aborted.Seconds, r.aborted.Condition.Name, r.aborted.Condition.measured())
		report = &Report{Outcome: Aborted, Why: why, Aborted: r.aborted}
	default:
		report = r.judge(r.record, sum)
	}
	report.Drill, report.Steady, report.Load = r.Name, r.steady, sum
	report.drill, report.record = r.Drill, r.record
	if r.record.journals != nil && !r.record.journals.lost {
		report.Ledger = r.record.join(&scope{from: -r.lead(), until: r.Duration})
	}
	return report
}

func firstBroken(verdicts []Verdict) string {
	for n := range verdicts {
		if v := &verdicts[n]; !v.Pass {
			return v.Name + " " + v.measured()
		}
	}
	return ""
}

// judge gives a verdict for each invariant, one for the ledger where nobody asked for
// it, and one for the load when it was not what the drill asks for.
func (d *Drill) judge(rec *record, sum *load.Report) *Report {
	report := &Report{Outcome: Held}
	for n := range d.Invariants {
		report.Invariants = append(report.Invariants, d.Invariants[n].judge(rec))
	}
	if rec.journals != nil && !d.asksFor("lost") {
		nothing := Invariant{Name: "nothing acknowledged is lost", Metric: "lost", scope: scope{from: -d.lead(), until: d.Duration}}
		report.Invariants = append(report.Invariants, nothing.judge(rec))
	}
	bound := float64(lateLimit.Milliseconds())
	if sum != nil && (sum.LateP99 > bound || sum.Overruns > 0) {
		report.Invariants = append(report.Invariants, Verdict{
			Name: "the generator kept its schedule", Unit: "ms late", Value: sum.LateP99, Bound: bound,
			Note: fmt.Sprintf("no judgement: the load was not what the drill asks for; %d requests not sent", sum.Overruns)})
	}
	report.Pass = true
	for _, v := range report.Invariants {
		report.Pass = report.Pass && v.Pass
	}
	if !report.Pass {
		report.Outcome = Broken
	}
	return report
}

func (d *Drill) asksFor(metric string) bool {
	return slices.ContainsFunc(d.Invariants, func(i Invariant) bool { return i.Metric == metric })
}

// headlines are what each outcome is called first.
var headlines = map[Outcome]string{Held: "PASS", Broken: "FAIL", Aborted: "ABORTED", NoVerdict: "NO VERDICT"}

// Print writes the report for people, verdicts first.
func (rep *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s  drill %s, %.0f s\n", headlines[rep.Outcome], rep.Drill, rep.Seconds)
	if rep.Why != "" {
		fmt.Fprintf(w, "  %s\n", rep.Why)
	}
	if rep.Aborted != nil && rep.Aborted.Unhealed != "" {
		fmt.Fprintf(w, "  NOT all faults could be ended, they end by themselves: %s\n", rep.Aborted.Unhealed)
	}
	printVerdicts(w, rep.Invariants)
	if rep.Outcome == NoVerdict {
		printVerdicts(w, rep.Steady)
	}
	rep.printLedger(w)
	if rep.Load != nil {
		rep.Load.Print(w)
	}
}

func printVerdicts(w io.Writer, all []Verdict) {
	width := 0
	for _, v := range all {
		width = max(width, len(v.Name))
	}
	for _, v := range all {
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
}

func (rep *Report) printLedger(w io.Writer) {
	l := rep.Ledger
	if l == nil {
		return
	}
	fmt.Fprintf(w, "\nledger: %d messages sent, %d acknowledged, %d lost, %d duplicated, %d reordered\n", l.Sent, l.Acknowledged, l.Lost, l.Duplicated, l.Reordered)
	for _, class := range classOrder(l.Classes) {
		c := l.Classes[class]
		fmt.Fprintf(w, "  %-8s  %d acknowledged, %d refused for now, %d neither; %d lost, %d duplicated, %d reordered\n",
			class, c.Acknowledged, c.Refused, c.Unknown, c.Lost, c.Duplicated, c.Reordered)
	}
	for _, id := range l.LostIDs {
		fmt.Fprintf(w, "  lost: %s\n", id)
	}
}

// classOrder lists the classes that are there, the most important first.
func classOrder[T any](of map[string]T) (names []string) {
	for _, c := range slices.Backward(policy.Classes()) {
		if _, there := of[c.String()]; there {
			names = append(names, c.String())
		}
	}
	return names
}

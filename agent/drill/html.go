package drill

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/tidegate/tidegate/agent/ledger"
	"github.com/tidegate/tidegate/agent/load"
)

//go:embed report.html
var pageText string

// page is what the template shows.
type page struct {
	*Report
	Headline, Hypothesis string
	Facts                []string
	Verdicts             []verdictRow
	Before               []verdictRow // the steady state
	Limits               []string     // what would have aborted it
	LedgerRows           []ledgerRow
	LoadRows             []loadRow
	Steps                []stepBar
	StepsHeight          float64
	Charts               []chart
	Times                []tick
	Frame                frame
}

// frame is where the plot of a chart lies.
type frame struct{ Width, Height, Left, Right, Top, Bottom float64 }

// PlotHeight is that of the plot itself.
func (f frame) PlotHeight() float64 { return f.Bottom - f.Top }

type verdictRow struct {
	Pass                       bool
	Name, Value, Bound, Sample string
	Note                       string
}

type ledgerRow struct {
	Class string
	*ledger.Counts
}

type loadRow struct {
	Class string
	*load.ClassLoad
	Success string
}

// stepBar is a step, or what precedes the time line, in the strip above the charts.
type stepBar struct {
	X, Width, Y float64
	Name, Text  string
	Color       string
	TextX       float64
	TextAnchor  string
	Shades      bool // the charts, too
}

// End is where the bar ends.
func (b stepBar) End() float64 { return b.X + b.Width }

const (
	barHeight   = 20.0
	letterWidth = 7.0 // about
)

// WriteHTML writes the report as one page that needs nothing else: no scripts, no
// fonts, no network. It is for reports that Run returned.
func (rep *Report) WriteHTML(w io.Writer) error {
	tmpl, err := template.New("report").Parse(pageText)
	if err != nil {
		return fmt.Errorf("report page: %w", err)
	}
	return tmpl.Execute(w, rep.page())
}

func (rep *Report) page() *page {
	t := rep.timeline()
	p := &page{Report: rep, Headline: headlines[rep.Outcome], Hypothesis: rep.drill.Hypothesis, Facts: rep.facts(),
		Verdicts: verdictRows(rep.Invariants), Before: verdictRows(rep.Steady), Charts: t.charts(), Times: t.times(),
		Frame: frame{chartWidth, chartHeight, plotLeft, plotRight, plotTop, plotBottom}}
	for n := range rep.drill.Aborts {
		p.Limits = append(p.Limits, rep.drill.Aborts[n].String())
	}
	p.Steps = rep.bars(t)
	p.StepsHeight = float64(len(p.Steps)) * (barHeight + 4)
	if rep.Ledger != nil {
		for _, class := range classOrder(rep.Ledger.Classes) {
			p.LedgerRows = append(p.LedgerRows, ledgerRow{class, rep.Ledger.Classes[class]})
		}
	}
	if rep.Load != nil {
		for _, class := range rep.Load.Order() {
			c := rep.Load.Classes[class]
			p.LoadRows = append(p.LoadRows, loadRow{class, c, percentText(percentOf(float64(c.Succeeded), float64(c.Sent)))})
		}
	}
	return p
}

// facts are what the drill was, in few words.
func (rep *Report) facts() []string {
	d := rep.drill
	all := []string{rep.record.began.UTC().Format("2006-01-02 15:04:05 UTC"), fmt.Sprintf("time line of %g s", d.Duration.Seconds())}
	if d.Observe {
		return append(all, "observed traffic")
	}
	all = append(all, fmt.Sprintf("%g requests a second", d.Load.Rate), fmt.Sprintf("%d devices", d.Load.Devices), "over "+d.Load.Over)
	return all
}

func verdictRows(verdicts []Verdict) (rows []verdictRow) {
	for n := range verdicts {
		v := &verdicts[n]
		sign := "≤ "
		if v.AtLeast {
			sign = "≥ "
		}
		rows = append(rows, verdictRow{v.Pass, v.Name, amount(v.Value, v.Unit), sign + amount(v.Bound, v.Unit), fmt.Sprint(v.Samples), v.Note})
	}
	return rows
}

// bars are the phases before the time line, then the steps, each in a row.
func (rep *Report) bars(t *timeline) (all []stepBar) {
	d := rep.drill
	if d.warmUp > 0 {
		all = append(all, t.bar(-d.lead(), -d.Steady.For, stepBar{Name: "warm-up", Color: "calm"}))
	}
	all = append(all, t.bar(-d.Steady.For, 0, stepBar{Name: "steady state", Text: "measured before anything is broken", Color: "calm", Shades: true}))
	for n := range d.Steps {
		s := &d.Steps[n]
		if s.At >= rep.lasted() {
			continue
		}
		all = append(all, t.bar(s.At, min(d.endOf(s), rep.lasted()), stepBar{Name: s.Name, Text: s.String(), Color: s.sort(), Shades: true}))
	}
	for n := range all {
		all[n].Y = float64(n) * (barHeight + 4)
	}
	return all
}

// sort says what a step is by nature, for its colour.
func (s *Step) sort() string {
	switch {
	case s.Order != nil:
		return "word"
	case s.Load != nil:
		return "load"
	case s.Leave != nil:
		return "move"
	}
	return "fault"
}

// bar places one; its words go to where there is room.
func (t *timeline) bar(from, until time.Duration, b stepBar) stepBar {
	place := func(at time.Duration) float64 { return t.x((at - t.from).Seconds() / t.width.Seconds()) }
	b.X, b.Width = place(from), max(place(until)-place(from), 2)
	b.TextX, b.TextAnchor = b.X+6, "start"
	if b.X+letterWidth*float64(len(b.Name)+len(b.Text)) > plotRight {
		b.TextX, b.TextAnchor = min(b.X+b.Width, plotRight)-6, "end"
	}
	return b
}

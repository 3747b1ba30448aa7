package drill

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/ledger"
	"github.com/tidegate/tidegate/agent/load"
)

// pageOf is the report of a drill with good.hcl's steps on what was recorded.
func pageOf(t *testing.T, change func(*Report), results ...load.Result) string {
	t.Helper()
	d, err := ReadFile("testdata/good.hcl")
	if err != nil {
		t.Fatal(err)
	}
	rec := recorded(d.Steps, results...)
	rep := d.judge(rec, nil)
	rep.Drill, rep.drill, rep.record = d.Name, d, rec
	if change != nil {
		change(rep)
	}
	var page bytes.Buffer
	if err := rep.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func TestPageNeedsNothingElse(t *testing.T) {
	page := pageOf(t, nil, at(6000, nil))
	for _, foreign := range []string{"<script", "http:", "https:", "//", "url(", "@import", "<link", "<img"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	for _, want := range []string{"PASS", "it holds", "region eu-2 cut off", "✓ held", "steady state"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

func TestPageShowsVerdictsBeforeAnythingElse(t *testing.T) {
	page := pageOf(t, func(rep *Report) {
		rep.Ledger = ledger.Join([]ledger.Sent{{ID: "r/d/1", Class: "critical", Fate: ledger.Acknowledged}}, nil)
	}, at(6000, failed))
	last := -1
	for _, part := range []string{"FAIL", "✗ broken", "What happened", "Rate", "Where traffic went", "Ledger", "r/d/1"} {
		place := strings.Index(page[last+1:], part)
		if place < 0 {
			t.Fatalf("no %q after the parts before", part)
		}
		last += 1 + place
	}
}

func TestPageEscapesWhatAFileSays(t *testing.T) {
	page := pageOf(t, func(rep *Report) { rep.Drill, rep.drill.Hypothesis = "<b>x</b>", `"><svg onload=alert(1)>` }, at(6000, nil))
	if strings.Contains(page, "<b>x") || strings.Contains(page, "<svg onload") {
		t.Error("what a file says is markup in the page")
	}
}

func TestPageOfEveryOutcomeIsWhole(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"nothing recorded": func(*Report) {},
		"no verdict":       func(rep *Report) { rep.Outcome, rep.Why, rep.Invariants = NoVerdict, "sick", nil },
		"aborted": func(rep *Report) {
			rep.Outcome, rep.Why, rep.Aborted = Aborted, "harm", &Abortion{Seconds: 6.2, Unhealed: "one fault"}
		},
		"a long one": func(rep *Report) { rep.drill.Duration = maxDuration },
		"observed":   func(rep *Report) { rep.drill.Observe, rep.record.observing = true, true },
	} {
		page := pageOf(t, change)
		if !strings.Contains(page, "</html>") || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("%s: the page is not whole or has no numbers", name)
		}
		if why := map[string]string{"no verdict": "sick", "aborted": "one fault"}[name]; !strings.Contains(page, why) {
			t.Errorf("%s: no %q", name, why)
		}
	}
}

func TestTimelineSumsUpSlotBySlot(t *testing.T) {
	d, err := ReadFile("testdata/good.hcl")
	if err != nil {
		t.Fatal(err)
	}
	rec := recorded(d.Steps, at(-2500, nil), at(500, nil), at(600, failed),
		at(700, func(r *load.Result) { r.Kind, r.Region, r.Latency = logs, "eu-2", 80*time.Millisecond }),
		at(800, func(r *load.Result) { r.Kind, r.Status = logs, 503 }), at(19999, nil), at(20000, nil))
	for second, v := range []string{"0", "700", "512"} {
		seenAt(rec, "a1", "eu-1", 1000*second+1, []string{thresholds}, "# TYPE "+thresholds+" gauge",
			thresholds+`{service="x",region=""} `+v, thresholds+`{service="y",region=""} 3`, thresholds+`{service="x",region="eu-2"} 900`)
	}
	tl := (&Report{drill: d, record: rec, Outcome: Held}).timeline()
	if tl.from != -3*time.Second || tl.width != time.Second || len(tl.slots) != 23 {
		t.Fatalf("from %s, %d slots of %s", tl.from, len(tl.slots), tl.width)
	}
	s := tl.slots[3]
	if s.succeeded != 2 || s.failed != 1 || s.shed != 1 || s.success["critical"] != 50 || s.success["bulk"] != 50 ||
		s.p99["critical"] != 10 || s.p99["bulk"] != 80 || s.served["eu-1"] != 50 || s.served["eu-2"] != 50 || s.threshold["eu-1"] != 3 {
		t.Errorf("%+v", s)
	}
	if tl.slots[0].succeeded != 1 || tl.slots[22].succeeded != 1 || tl.slots[4].threshold["eu-1"] != 700 || tl.slots[6].threshold["eu-1"] != 512 {
		t.Errorf("first %+v, last %+v", tl.slots[0], tl.slots[22])
	}
	if _, there := tl.slots[1].success["critical"]; there {
		t.Error("success of nothing is known")
	}
}

func TestLongRunHasFewSlots(t *testing.T) {
	d, err := ReadFile("testdata/good.hcl")
	if err != nil {
		t.Fatal(err)
	}
	d.Duration = maxDuration
	rec := recorded(d.Steps, at(int(maxDuration.Milliseconds())-1, nil))
	tl := (&Report{drill: d, record: rec, Outcome: Held}).timeline()
	if len(tl.slots) > mostSlots || len(tl.slots) < mostSlots/2 || tl.slots[len(tl.slots)-1].succeeded == 0 {
		t.Errorf("%d slots of %s", len(tl.slots), tl.width)
	}
}

func TestAxesHoldTheirValuesInRoundSteps(t *testing.T) {
	for _, highest := range []float64{0, 1, 7, 320, 1001} {
		if a := upTo(highest); a.high < highest || highest > 0 && (a.high > 2*highest || len(a.ticks) < 3 || len(a.ticks) > 6) {
			t.Errorf("%g: up to %g, ticks %v", highest, a.high, a.ticks)
		}
	}
	for lowest, low := range map[float64]float64{0: 0, 49: 0, 50: 50, 92: 90, 99.5: 99, 100: 99} {
		if a := percentAxis(lowest); a.low != low || a.high != 100 {
			t.Errorf("%g%%: from %g", lowest, a.low)
		}
	}
	if a := msAxis(3, 700); a.low != 1 || a.high != 1000 || len(a.ticks) != 4 {
		t.Errorf("%+v", a)
	}
	tl := &timeline{from: -3 * time.Second, width: time.Second, slots: make([]slot, 41)}
	for n, tick := range tl.times() {
		if want := []string{"0 s", "5 s", "10 s"}; n < len(want) && tick.Label != want[n] {
			t.Errorf("time %d is marked %q", n, tick.Label)
		}
	}
	if a := msAxis(5, 5); a.high <= a.low {
		t.Errorf("%+v", a)
	}
}

package load

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidegate/tidegate/policy"
)

// Report sums a load up, by class.
type Report struct {
	Seconds  float64               `json:"seconds"`
	Rate     float64               `json:"rate"` // asked for, a second
	Devices  int                   `json:"devices"`
	Classes  map[string]*ClassLoad `json:"classes"`
	LateP99  float64               `json:"late_p99_ms"` // how late requests were started
	OnTime   bool                  `json:"on_time"`     // the generator kept its schedule
	Overruns int64                 `json:"overruns"`    // not sent: too many outstanding

	mu    sync.Mutex // guards everything until finish
	begun time.Time
	late  *hdrhistogram.Histogram
}

// ClassLoad is what became of one class's requests. Latencies are of answers,
// in milliseconds, from the moment a request was due.
type ClassLoad struct {
	Sent      int64   `json:"sent"`
	Succeeded int64   `json:"succeeded"`
	Shed      int64   `json:"shed"`
	Failed    int64   `json:"failed"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`

	latency *hdrhistogram.Histogram
}

// Latencies are kept in microseconds, to a minute, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// lateTolerance is how late the 99th percentile may start before the run says
// that it did not keep its schedule.
const lateTolerance = 10 * time.Millisecond

func newReport(cfg Config) *Report {
	r := &Report{Rate: cfg.Rate, Devices: cfg.Devices, Classes: map[string]*ClassLoad{}, begun: time.Now(), late: newHistogram()}
	for _, k := range cfg.Kinds {
		r.Classes[k.Class.String()] = &ClassLoad{latency: newHistogram()}
	}
	return r
}

func (r *Report) started(late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record(r.late, late)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	us := min(max(d.Microseconds(), 1), h.HighestTrackableValue())
	_ = h.RecordValue(us) // in range
}

func (r *Report) add(res *Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.Classes[res.Kind.Class.String()]
	c.Sent++
	if res.Err == errOverrun {
		r.Overruns++
	}
	switch res.Outcome() {
	case Succeeded:
		c.Succeeded++
	case Shed:
		c.Shed++
	default:
		c.Failed++
	}
	if res.Err == nil {
		record(c.latency, res.Latency)
	}
}

func (r *Report) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Seconds = time.Since(r.begun).Seconds()
	r.LateP99 = ms(r.late, 99)
	r.OnTime = r.Overruns == 0 && r.LateP99 <= float64(lateTolerance.Milliseconds())
	for _, c := range r.Classes {
		c.P50, c.P99, c.P999 = ms(c.latency, 50), ms(c.latency, 99), ms(c.latency, 99.9)
	}
}

func ms(h *hdrhistogram.Histogram, q float64) float64 {
	return float64(h.ValueAtQuantile(q)) / 1000
}

// Order lists the classes of a report, most important first.
func (r *Report) Order() []string {
	var names []string
	all := policy.Classes()
	for i := len(all) - 1; i >= 0; i-- {
		if r.Classes[all[i].String()] != nil {
			names = append(names, all[i].String())
		}
	}
	return names
}

// Print writes the report as a table, most important class first, and says so
// when the generator could not keep its schedule.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%.1f s, %d devices, %g requests a second asked for\n", r.Seconds, r.Devices, r.Rate)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "class\tsent\tsucceeded\tshed\tfailed\tsuccess\tp50 ms\tp99 ms\tp99.9 ms\t")
	for _, name := range r.Order() {
		c := r.Classes[name]
		if c.Sent == 0 {
			fmt.Fprintf(t, "%s\t0\t0\t0\t0\t-\t-\t-\t-\t\n", name)
			continue
		}
		success := 100 * float64(c.Succeeded) / float64(c.Sent)
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.2f%%\t%.1f\t%.1f\t%.1f\t\n",
			name, c.Sent, c.Succeeded, c.Shed, c.Failed, success, c.P50, c.P99, c.P999)
	}
	_ = t.Flush()
	if !r.OnTime {
		fmt.Fprintf(w, "the generator did NOT keep its schedule: p99 of starts %.1f ms late, %d not sent; the latencies hold its own delay\n", r.LateP99, r.Overruns)
	}
}

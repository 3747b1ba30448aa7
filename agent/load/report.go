package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidegate/tidegate/policy"
)

// Report sums a load up, by class, and by tenant and class where there are
// tenants.
type Report struct {
	Seconds  float64            `json:"seconds"`
	Rate     float64            `json:"rate"` // asked for, a second, without what is extra
	Devices  int                `json:"devices"`
	Over     string             `json:"over"` // HTTP/3 or MQTT
	Classes  ByClass            `json:"classes"`
	Tenants  map[string]ByClass `json:"tenants,omitempty"`
	Idle     *IdleReport        `json:"idle,omitempty"`
	Storms   []*StormReport     `json:"storms,omitempty"`
	LateP99  float64            `json:"late_p99_ms"` // how late requests were started
	OnTime   bool               `json:"on_time"`     // the generator kept its schedule
	Overruns int64              `json:"overruns"`    // not sent: too many outstanding

	mu    sync.Mutex // guards everything until finish
	begun time.Time
	late  *hdrhistogram.Histogram
}

// ByClass is what became of requests, by the name of their class.
type ByClass map[string]*ClassLoad

// ClassLoad is what became of one class's requests. Latencies are of answers,
// in milliseconds, from the moment a request was due.
type ClassLoad struct {
	Sent      int64   `json:"sent"`
	Succeeded int64   `json:"succeeded"`
	Shed      int64   `json:"shed"`
	Failed    int64   `json:"failed"`
	Attempts  int64   `json:"attempts"` // Sent, and what was sent again after a refusal
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
	r := &Report{Rate: cfg.Rate, Devices: cfg.Devices, Over: cfg.Over, Classes: newByClass(&cfg), begun: time.Now(), late: newHistogram()}
	if len(cfg.Tenants) > 0 {
		r.Tenants = map[string]ByClass{}
	}
	for _, tenant := range cfg.Tenants {
		r.Tenants[tenant] = newByClass(&cfg)
	}
	return r
}

func newByClass(cfg *Config) ByClass {
	b := ByClass{}
	for _, k := range cfg.Kinds {
		b[k.Class.String()] = &ClassLoad{latency: newHistogram()}
	}
	return b
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
	if res.Err == errOverrun {
		r.Overruns++
	}
	class := res.Kind.Class.String()
	r.Classes[class].add(res)
	if of := r.Tenants[res.Tenant]; of != nil {
		of[class].add(res)
	}
	r.inStorm(res)
}

func (c *ClassLoad) add(res *Result) {
	c.Sent++
	c.Attempts += int64(res.Attempts)
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
	for _, s := range r.Storms {
		s.CriticalP99 = ms(s.critical, 99)
	}
	for _, classes := range append(slices.Collect(maps.Values(r.Tenants)), r.Classes) {
		for _, c := range classes {
			c.P50, c.P99, c.P999 = ms(c.latency, 50), ms(c.latency, 99), ms(c.latency, 99.9)
		}
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

// Print writes the report as tables, most important class first, and says so
// when the generator could not keep its schedule.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%.1f s, %d devices, %g requests a second asked for%s\n", r.Seconds, r.Devices, r.Rate, r.way())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "class\t"+columns)
	for _, name := range r.Order() {
		fmt.Fprintf(t, "%s\t%s\n", name, r.Classes[name].row())
	}
	_ = t.Flush()
	r.printTenants(w)
	if r.Idle != nil {
		fmt.Fprintf(w, "%d idle connections, %d of them lost\n", r.Idle.Connections, r.Idle.Lost)
	}
	for _, s := range r.Storms {
		fmt.Fprintln(w, s)
	}
	if !r.OnTime {
		fmt.Fprintf(w, "the generator did NOT keep its schedule: p99 of starts %.1f ms late, %d not sent; the latencies hold its own delay\n", r.LateP99, r.Overruns)
	}
}

func (r *Report) way() string {
	if r.Over == OverMQTTQUIC || r.Over == OverMQTTTLS {
		return ", over " + r.Over
	}
	return ""
}

func (r *Report) printTenants(w io.Writer) {
	if len(r.Tenants) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "tenant\tclass\t"+columns)
	for _, tenant := range slices.Sorted(maps.Keys(r.Tenants)) {
		for _, name := range r.Order() {
			fmt.Fprintf(t, "%s\t%s\t%s\n", tenant, name, r.Tenants[tenant][name].row())
		}
	}
	_ = t.Flush()
}

const columns = "sent\tsucceeded\tshed\tfailed\tsuccess\tp50 ms\tp99 ms\tp99.9 ms\t"

func (c *ClassLoad) row() string {
	if c.Sent == 0 {
		return "0\t0\t0\t0\t-\t-\t-\t-\t"
	}
	success := 100 * float64(c.Succeeded) / float64(c.Sent)
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%.2f%%\t%.1f\t%.1f\t%.1f\t",
		c.Sent, c.Succeeded, c.Shed, c.Failed, success, c.P50, c.P99, c.P999)
}

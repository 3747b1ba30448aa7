package drill

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// witness is an agent whose metrics are sampled.
type witness struct {
	agent, region string
	ask           func(context.Context) ([]byte, error) // for Prometheus text
}

// telemetry is what agents counted, sampled again and again.
type telemetry struct {
	mu      sync.Mutex // guards what follows
	series  map[string]*series
	scraped map[string]*scrapes // by agent
	full    bool                // some series found no room
}

// scrapes are the times at which an agent answered.
type scrapes struct {
	region string
	times  []time.Time
}

const (
	sampleEvery = time.Second
	sampleLimit = 2 * time.Second // for an answer
	maxSeries   = 20000
)

func newTelemetry() *telemetry {
	return &telemetry{series: map[string]*series{}, scraped: map[string]*scrapes{}}
}

// sample asks an agent every second, and once more when ctx has ended, for the series
// that are wanted. clock says as of when an answer counts that came at a time.
func (t *telemetry) sample(ctx context.Context, from witness, wanted []string, clock func(time.Time) time.Time) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for over := false; !over; {
		over = ctx.Err() != nil
		t.scrape(context.WithoutCancel(ctx), &from, wanted, clock)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// scrape leaves a gap where the agent does not answer.
func (t *telemetry) scrape(ctx context.Context, from *witness, wanted []string, clock func(time.Time) time.Time) {
	ctx, cancel := context.WithTimeout(ctx, sampleLimit)
	defer cancel()
	if text, err := from.ask(ctx); err == nil {
		t.take(from, only(text, wanted), wanted, clock(time.Now()))
	}
}

// only leaves the lines of a text that tell what is wanted.
func only(text []byte, wanted []string) []byte {
	var kept [][]byte
	for line := range bytes.Lines(text) {
		name, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte("# TYPE ")), []byte(" "))
		name, _, _ = bytes.Cut(name, []byte("{"))
		if slices.ContainsFunc(wanted, func(w string) bool { return family(string(name)) == family(w) }) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}

// family is what a part of a histogram or summary belongs to.
func family(name string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if of, is := strings.CutSuffix(name, suffix); is {
			return of
		}
	}
	return name
}

func (t *telemetry) take(from *witness, text []byte, wanted []string, at time.Time) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return // half an answer is none
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered(from, at)
	for name, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(suffix, le string, value float64) {
				if slices.Contains(wanted, name+suffix) {
					t.add(from, name+suffix, labels, le, point{at, value})
				}
			}
			h, s := m.GetHistogram(), m.GetSummary() // of kinds of value one is there, the others say 0
			add("", "", m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue())
			add("_count", "", float64(h.GetSampleCount()+s.GetSampleCount()))
			add("_sum", "", h.GetSampleSum()+s.GetSampleSum())
			for _, b := range h.GetBucket() {
				add("_bucket", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64), float64(b.GetCumulativeCount()))
			}
		}
	}
}

func (t *telemetry) answered(from *witness, at time.Time) {
	if t.scraped[from.agent] == nil {
		t.scraped[from.agent] = &scrapes{region: from.region}
	}
	t.scraped[from.agent].times = append(t.scraped[from.agent].times, at)
}

// add notes a value of a series, with the label le where that is not empty.
func (t *telemetry) add(from *witness, name string, labels map[string]string, le string, p point) {
	if le != "" {
		labels = maps.Clone(labels)
		labels["le"] = le
	}
	key := from.agent + " " + name
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		key += "\x00" + l + "\x00" + labels[l]
	}
	s := t.series[key]
	if s == nil {
		if t.full = t.full || len(t.series) >= maxSeries; t.full {
			return
		}
		s = &series{agent: from.agent, region: from.region, name: name, labels: labels, since: t.scraped[from.agent].times[0]}
		t.series[key] = s
	}
	s.points = append(s.points, p)
}

// each calls do with every series of a name whose agents are of a region, or of any
// where that is empty.
func (t *telemetry) each(name, region string, do func(*series)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.series {
		if s.name == name && (region == "" || region == s.region) {
			do(s)
		}
	}
}

// answers counts how often agents of a region, or of any, answered in a window.
func (t *telemetry) answers(region string, from, until time.Time) (count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.scraped {
		for _, at := range s.times {
			if (region == "" || region == s.region) && within(at, from, until) {
				count++
			}
		}
	}
	return count
}

func (t *telemetry) overflows() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full
}

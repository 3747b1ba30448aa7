package dev

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// live runs the simulated devices and prints a line a second.
func (m *Mesh) live(ctx context.Context, cfg RunConfig) error {
	if cfg.Devices == 0 || cfg.Rate == 0 {
		<-ctx.Done()
		return nil
	}
	board := newBoard(m.Regions)
	board.causes = newBlame(m).causes
	ctx, cancel := context.WithCancel(ctx)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		board.print(ctx, cfg.Out)
	}()
	devices := load.Config{
		Kinds: Kinds(), Devices: cfg.Devices, Rate: cfg.Rate, Tenants: []string{"tenant-0", "tenant-1"},
		Observe: board.observe, Seed: 1,
	}
	m.Aim(&devices)
	report, err := load.Run(ctx, devices)
	cancel()
	<-printed
	if err != nil {
		return err
	}
	report.Print(cfg.Out)
	return nil
}

// board sums results up by the region whose edge took them, a second at a time.
type board struct {
	order []string
	width []int // of the cells so far: they only grow, so that lines stay aligned

	// causes names, by region of the edge and by what was refused, the region
	// whose spill was to blame in the second that ends. Nil: nobody knows.
	causes func() map[string]map[refusal]string

	mu    sync.Mutex // guards tally
	tally map[string]*tally
}

// refusal is what is refused for now, and why.
type refusal struct{ class, reason string }

type tally struct {
	sent, ok, shed, failed int
	latency                *hdrhistogram.Histogram // microseconds
	served                 map[string]int          // by region
	refused                map[refusal]int
	causes                 map[refusal]string
}

func newBoard(regions []*Region) *board {
	b := &board{tally: map[string]*tally{}, width: make([]int, len(regions))}
	for _, r := range regions {
		b.order = append(b.order, r.Name)
	}
	return b
}

func (b *board) observe(r load.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tally[r.Edge]
	if t == nil {
		t = &tally{latency: hdrhistogram.New(1, 60_000_000, 2), served: map[string]int{}, refused: map[refusal]int{}}
		b.tally[r.Edge] = t
	}
	t.add(&r)
}

func (t *tally) add(r *load.Result) {
	t.sent++
	switch r.Outcome() {
	case load.Succeeded:
		t.ok++
		t.served[r.Region]++
	case load.Shed:
		t.shed++
		t.refused[refusal{r.Kind.Class.String(), r.Reason}]++
	default:
		t.failed++
	}
	_ = t.latency.RecordValue(min(max(r.Latency.Microseconds(), 1), 60_000_000)) // in range
}

func (b *board) print(ctx context.Context, w io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	fmt.Fprintln(w, "At each region's edge: requests a second, success, p99, which regions served them, and what was shed:\n"+
		"class and reason, after < the region whose spill is to blame.")
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fmt.Fprintf(w, "%4.0f s  %s\n", time.Since(began).Seconds(), b.line())
		}
	}
}

// line starts the next second.
func (b *board) line() string {
	b.mu.Lock()
	now := b.tally
	b.tally = map[string]*tally{}
	b.mu.Unlock()
	var causes map[string]map[refusal]string
	if b.causes != nil {
		causes = b.causes()
	}
	cells := make([]string, len(b.order))
	for i, region := range b.order {
		if t := now[region]; t != nil {
			t.causes = causes[region]
		}
		cell := region + " " + now[region].String()
		b.width[i] = max(b.width[i], len(cell))
		cells[i] = fmt.Sprintf("%-*s", b.width[i], cell)
	}
	return strings.TrimRight(strings.Join(cells, " | "), " ")
}

// String is rate, success, p99 and where traffic was served.
func (t *tally) String() string {
	if t == nil {
		return "quiet"
	}
	text := fmt.Sprintf("%4d/s %5.1f%% %5.0f ms", t.sent, 100*float64(t.ok)/float64(t.sent), float64(t.latency.ValueAtQuantile(99))/1000)
	for _, region := range slices.Sorted(maps.Keys(t.served)) {
		text += fmt.Sprintf(" %s:%d%%", region, 100*t.served[region]/t.ok)
	}
	if t.shed > 0 {
		text += fmt.Sprintf(" shed:%d", t.shed) + t.refusals()
	}
	if t.failed > 0 {
		text += fmt.Sprintf(" failed:%d", t.failed)
	}
	return text
}

// refusals says who was shed and why, most important class first.
func (t *tally) refusals() string {
	var parts []string
	classes := policy.Classes()
	for n := len(classes) - 1; n >= 0; n-- {
		for _, r := range slices.SortedFunc(maps.Keys(t.refused), byReason) {
			if r.class != classes[n].String() || r.reason == "" {
				continue
			}
			part := fmt.Sprintf("%s %s %d", r.class, r.reason, t.refused[r])
			if cause := t.causes[r]; cause != "" {
				part += " <" + cause
			}
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func byReason(a, b refusal) int { return strings.Compare(a.reason, b.reason) }

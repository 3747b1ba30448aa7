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
)

// live runs the simulated devices and prints a line a second.
func (m *Mesh) live(ctx context.Context, cfg RunConfig) error {
	if cfg.Devices == 0 || cfg.Rate == 0 {
		<-ctx.Done()
		return nil
	}
	board := newBoard(m.Regions)
	ctx, cancel := context.WithCancel(ctx)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		board.print(ctx, cfg.Out)
	}()
	report, err := load.Run(ctx, load.Config{
		Edges: m.Edges(), Kinds: Kinds(), Devices: cfg.Devices, Rate: cfg.Rate,
		TLS: m.TLS(), Identity: m.Identity, Observe: board.observe, Seed: 1,
	})
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

	mu    sync.Mutex // guards tally
	tally map[string]*tally
}

type tally struct {
	sent, ok, shed, failed int
	latency                *hdrhistogram.Histogram // microseconds
	served                 map[string]int          // by region
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
		t = &tally{latency: hdrhistogram.New(1, 60_000_000, 2), served: map[string]int{}}
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
	default:
		t.failed++
	}
	_ = t.latency.RecordValue(min(max(r.Latency.Microseconds(), 1), 60_000_000)) // in range
}

func (b *board) print(ctx context.Context, w io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	fmt.Fprintln(w, "At each region's edge: requests a second, success, p99, and which regions served them.")
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
	cells := make([]string, len(b.order))
	for i, region := range b.order {
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
		text += fmt.Sprintf(" shed:%d", t.shed)
	}
	if t.failed > 0 {
		text += fmt.Sprintf(" failed:%d", t.failed)
	}
	return text
}

//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// output is for people, or JSON for scripts with the rest on standard error.
type output struct {
	json bool
	bars bool // of JSON, nothing else
	talk io.Writer
}

func newOutput(asJSON, bars bool) *output {
	if asJSON || bars {
		return &output{true, bars, os.Stderr}
	}
	return &output{talk: os.Stdout}
}

func (o *output) say(format string, args ...any) { fmt.Fprintf(o.talk, format+"\n", args...) }

// event prints what scripts read.
func (o *output) event(v any) {
	if _, bar := v.(judge.Bar); o.json && (bar || !o.bars) {
		_ = json.NewEncoder(os.Stdout).Encode(v)
	}
}

// place is where something is, for scripts.
type place struct {
	Event  string `json:"event"` // place
	Region string `json:"region"`
	Agent  string `json:"agent,omitempty"` // empty: the region's Consul
	Addr   string `json:"addr"`            // edge, or HTTP API
	Admin  string `json:"admin,omitempty"`
	Inside string `json:"inside"` // before commands that are to run in the region
}

// guide says where everything is and what to try.
func (o *output) guide(m *mesh) {
	t := tabwriter.NewWriter(o.talk, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nREGION\tWHAT\tADDRESS\tCONTROL")
	for _, r := range m.regions {
		consul := r.consulAddr().String() + ":8500"
		fmt.Fprintf(t, "%s\tconsul\t%s\t%s\n", r.name, consul, r.consulSocket())
		o.event(place{Event: "place", Region: r.name, Addr: consul, Admin: r.consulSocket(), Inside: r.net.Inside()})
		for _, a := range r.agents {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.name, a.name, a.edge(), a.adminAddr())
			o.event(place{"place", r.name, a.name, a.edge(), a.adminAddr(), r.net.Inside()})
		}
		for _, i := range r.instances() {
			fmt.Fprintf(t, "%s\t%s\t%s\t\n", r.name, i.id, i.addr)
		}
	}
	_ = t.Flush()
	first := m.regions[0]
	device := fmt.Sprintf("%s curl -sS --cacert %s/ca.pem --cert %s/0.pem --key %s/0.key", first.net.Inside(), m.dir, m.deviceDir(), m.deviceDir())
	o.say(`
Look (from another terminal):
  export TIDEGATE_ADMIN=%s
  %s regions
  %s members
  CONSUL_HTTP_ADDR=%s %s members -wan
  %s -X PUT -d x https://%s/devices/device-0/stock
Break and heal (also: isolate, set eu us rtt=300ms loss=5%%, cut eu-1->us-1):
  go run ./test/wan/wan do 'cut eu-1 eu-2'
  go run ./test/wan/wan do heal
What all say: %s
Ctrl-C ends it. Every 5 s, by region of the edge, what its devices sent:`,
		first.agents[0].adminAddr(), m.tidegate, m.tidegate, first.consulSocket(), m.consul, device, first.agents[0].edge(), m.logs)
}

// traffic is what was sent at the edges of a region in some seconds.
type traffic struct {
	Event  string         `json:"event"` // traffic
	At     float64        `json:"at_seconds"`
	Edge   string         `json:"edge"`
	Sent   int            `json:"sent"`
	OK     int            `json:"ok"`
	P99    float64        `json:"p99_ms"`
	Served map[string]int `json:"served"` // by region
}

func (o *output) traffic(at time.Duration, sent []message) {
	for _, edge := range regionNames {
		t := traffic{Event: "traffic", At: at.Round(time.Millisecond).Seconds(), Edge: edge, Served: map[string]int{}}
		var took []time.Duration
		for _, m := range sent {
			if m.Edge != edge {
				continue
			}
			t.Sent++
			if m.ok() {
				t.OK++
				t.Served[m.Served]++
			}
			took = append(took, m.Took)
		}
		t.P99 = float64(judge.Quantile(took, 0.99).Microseconds()) / 1000
		var served []string
		for _, region := range slices.Sorted(maps.Keys(t.Served)) {
			served = append(served, fmt.Sprintf("%s %d", region, t.Served[region]))
		}
		o.say("%6.1fs  %s  sent %d  ok %d  p99 %.0f ms  served by %s", t.At, edge, t.Sent, t.OK, t.P99, strings.Join(served, ", "))
		o.event(t)
	}
}

func (o *output) step(at time.Duration, line string) {
	o.say("%6.1fs  %s", at.Seconds(), line)
	o.event(map[string]any{"event": "step", "at_seconds": at.Seconds(), "line": line})
}

// verdicts shows all drills of a run in a table, and below it each bar that does
// not hold.
func (o *output) verdicts(done []*exercise) {
	t := tabwriter.NewWriter(o.talk, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nDRILL\tBARS\tHOLD\tVERDICT\tTOOK")
	var broken []judge.Bar
	for _, x := range done {
		missed := slices.DeleteFunc(slices.Clone(x.bars), func(b judge.Bar) bool { return b.Pass })
		verdict := map[int]string{0: "holds", 1: "BROKEN", 3: "NOT JUDGED"}[exitStatus(x.bars)]
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%.0f s\n", x.drill.name, len(x.bars), len(x.bars)-len(missed), verdict, x.took.Seconds())
		broken = append(broken, missed...)
	}
	for _, b := range broken {
		fmt.Fprintf(t, "%s\t%.2f %s\t%s\t%s\t\n", b.Bar, b.Value, b.Unit, b.Bound, verdict(b))
	}
	_ = t.Flush()
}

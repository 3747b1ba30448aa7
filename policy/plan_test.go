package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var updatePlans = flag.Bool("update-plans", false, "rewrite testdata/plan/*.explain")

var planTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type planCase struct {
	Name     string
	Subset   string
	Draining bool
	Local    struct{ Ready, Critical, Distrusted int }
	Failover Failover
	Allowed  []string
	Regions  []regionCase
	Legs     []string
}

type regionCase struct {
	Name, Group, RTT, State, Age, Target string
	Ready, Agents, DrainingAgents        int // Ready, Agents: 0 means 1, negative none
	Unreported                           bool
}

func (c *planCase) target() Target { return Target{Service: "telemetry", Subset: c.Subset} }

func (c *planCase) view(t *testing.T) *View {
	v := &View{
		Region: "eu-1", Group: "eu", Built: planTime, Draining: c.Draining,
		Local: map[string]*Pool{}, Regions: map[string]*Region{},
	}
	var specs []InstanceSpec
	for status, n := range []int{c.Local.Ready, c.Local.Critical, c.Local.Distrusted} {
		for i := range n {
			specs = append(specs, InstanceSpec{ID: fmt.Sprint(status, i), Status: InstanceStatus(status)})
		}
	}
	v.Local[c.target().String()] = NewPool(c.target(), NewInstanceTable().Resolve("telemetry", specs, planTime))
	for _, r := range c.Regions {
		v.Regions[r.Name] = r.region(t, c.target().String())
	}
	return v
}

func (r *regionCase) region(t *testing.T, target string) *Region {
	if r.Target != "" {
		target = r.Target
	}
	region := &Region{
		Name: r.Name, Group: r.Group, State: parseState(t, r.State), RTT: parseDuration(t, r.RTT),
		Ready: map[string]Load{target: {Ready: countOr1(r.Ready)}},
	}
	if !r.Unreported {
		region.Reported = planTime.Add(-parseDuration(t, r.Age))
	}
	for i := range countOr1(r.Agents) {
		region.Agents = append(region.Agents, Agent{Name: fmt.Sprint(r.Name, "-", i), Draining: i < r.DrainingAgents})
	}
	return region
}

func countOr1(n int) int {
	if n == 0 {
		return 1
	}
	return max(0, n)
}

func parseDuration(t *testing.T, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parseState(t *testing.T, s string) RegionState {
	for state := RegionUnknown; state <= RegionDown; state++ {
		if state.String() == s {
			return state
		}
	}
	if s != "" {
		t.Fatalf("no region state %q", s)
	}
	return RegionAlive
}

func legNames(p Plan) []string {
	names := []string{}
	for _, leg := range p.Legs {
		names = append(names, leg.Region)
	}
	return names
}

func TestPlanTables(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { runPlanFile(t, file) })
	}
}

func runPlanFile(t *testing.T, file string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []planCase
	if err := json.Unmarshal(src, &cases); err != nil {
		t.Fatal(err)
	}
	var explained strings.Builder
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			tr := &Trace{}
			plan := c.view(t).Plan(c.target(), c.Failover, c.Allowed, tr)
			if got := legNames(plan); !slices.Equal(got, c.Legs) {
				t.Errorf("legs %v, want %v\n%+v", got, c.Legs, tr.Steps)
			}
			explained.WriteString(renderTrace(c.Name, tr))
		})
	}
	compareExplained(t, strings.TrimSuffix(file, ".json")+".explain", explained.String())
}

func renderTrace(title string, tr *Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", title)
	for _, s := range tr.Steps {
		sign := "-"
		if s.Taken {
			sign = "+"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", sign, s.Subject, s.Reason)
	}
	return b.String() + "\n"
}

func compareExplained(t *testing.T, file, got string) {
	if *updatePlans {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("explanation differs from %s (rewrite with -update-plans):\n%s", file, got)
	}
}

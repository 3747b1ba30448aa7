package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/policy"
)

// short is a drill of three seconds on two regions whose service svc fails in
// the first; %s is its last invariant. Machines that test have better things to do:
// half of the steady state is enough.
const short = `
drill "short" {
  hypothesis = "svc fails over"
  duration   = "3s"
  mesh {
    regions = 2
    agents  = 1
  }
  load {
    rate    = 50
    devices = 4
    kind "alarm" {
      class  = "critical"
      path   = "/v1/devices/{device}/alarms"
      body   = 10
      weight = 1
    }
  }
  steady {
    for     = "2s"
    success = 50
  }
  step "slow" {
    at  = "1s"
    for = "1s"
    slow_service {
      region  = "eu-1"
      service = "alarms"
      takes   = "200ms"
    }
  }
  invariant "it works" {
    metric   = "success"
    at_least = 90
    samples  = 100
  }
  invariant "it is not slow" {
    metric  = "p99"
    from    = "slow"
    until   = "slow.end"
    at_most = %s
  }
}
`

func parse(t *testing.T, format string, args ...any) *Drill {
	t.Helper()
	d, err := Parse("test.hcl", fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// with adds blocks to a drill, before its steps.
func with(drill, blocks string) string {
	return strings.Replace(drill, "  step \"slow\"", blocks+"\n  step \"slow\"", 1)
}

func TestDrillHoldsOrBreaks(t *testing.T) {
	for bound, pass := range map[string]bool{"30000": true, "100": false} {
		var out bytes.Buffer
		rep, err := Run(t.Context(), parse(t, short, bound), Options{Progress: &out})
		if err != nil {
			t.Fatal(err)
		}
		if slow := rep.Invariants[1]; slow.Pass != pass || slow.Value < 200 {
			t.Errorf("bound %s ms: %+v", bound, slow)
		}
		if rep.Pass && !pass {
			t.Error("the drill passed with a broken invariant")
		}
		for _, want := range []string{"drill short: svc fails over", "1.0 s  alarms takes 200ms in eu-1", "2.0 s  over: alarms takes"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, &out)
			}
		}
	}
}

func TestDrillThatNamesWhatIsNotThereIsRefusedAtOnce(t *testing.T) {
	d := parse(t, strings.Replace(short, `"eu-1"`, `"mars-1"`, 1), "100")
	if _, err := Run(t.Context(), d, Options{}); !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), `step "slow"`) {
		t.Error(err)
	}
}

func TestStoppedDrillGivesNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("1.0 s")) {
			cancel()
		}
		return len(p), nil
	})
	rep, err := Run(ctx, parse(t, short, "30000"), Options{Progress: out})
	if rep != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", rep, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// running is a mesh that runs, as a drill sees it through its first agent.
func running(t *testing.T) (*dev.Mesh, *Running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := dev.Start(ctx, dev.Config{Regions: 2, Agents: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return askedAt(m, 0)
}

// askedAt is a mesh as it is seen through the first agent of a region.
func askedAt(m *dev.Mesh, region int) (*dev.Mesh, *Running) {
	base, client := "http://"+m.Regions[region].Agents[0].AdminAddr(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(ctx context.Context, method, path string, body any) ([]byte, error) {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(encoded))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+m.Token())
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%d: %s", resp.StatusCode, answer)
		}
		return answer, err
	}
	return m, &Running{Ask: ask, TLS: m.TLS()}
}

func TestDrillOnARunningMeshLetsItGoAsItWas(t *testing.T) {
	m, r := running(t)
	d := parse(t, short, "30000")
	var second error
	out := writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("  1.0 s")) {
			_, second = Run(t.Context(), d, Options{Running: r})
		}
		return len(p), nil
	})
	rep, err := Run(t.Context(), d, Options{Running: r, Progress: out})
	if err != nil {
		t.Fatal(err)
	}
	if !rep.Invariants[0].Pass || rep.Invariants[1].Value < 200 {
		t.Errorf("%+v", rep.Invariants)
	}
	if second == nil || !strings.Contains(second.Error(), "409") {
		t.Errorf("a second drill at the same time: %v", second)
	}
	if left := m.Faults(); len(left) > 0 {
		t.Errorf("left in force: %v", left)
	}
}

func TestStoppedDrillLeavesNoFaultInARunningMesh(t *testing.T) {
	m, r := running(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	during := 0
	r.TLS = m.TLS()
	watched := *r
	watched.Ask = func(c context.Context, method, path string, body any) ([]byte, error) {
		answer, err := r.Ask(c, method, path, body)
		if f, ok := body.(admin.Fault); ok && f.Kind == admin.FaultSlowService {
			during = len(m.Faults())
			cancel()
		}
		return answer, err
	}
	if _, err := Run(ctx, parse(t, short, "30000"), Options{Running: &watched}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := m.Faults(); during != 2 || len(left) > 0 {
		t.Errorf("%d faults during the drill, left in force: %v", during, left)
	}
}

func TestRunningMeshCountsThePlansOfTheAgentAsked(t *testing.T) {
	m, r := running(t)
	mesh, err := r.reserve(t.Context(), parse(t, short, "100"))
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	counts, err := mesh.planChanges(t.Context())
	if err != nil || len(counts) != 1 || len(counts["eu-1-agent-1"]) != len(m.PlanChanges()["eu-1-agent-1"]) {
		t.Errorf("%v, %v; the mesh says %v", counts, err, m.PlanChanges())
	}
	for says, f := range map[string]admin.Fault{
		"run through":          {Kind: admin.FaultAgentCrash, Agent: "eu-1-agent-1"},
		`no agent "nobody"`:    {Kind: admin.FaultAgentCrash, Agent: "nobody"},
		`no region "mars-1"`:   {Kind: admin.FaultRegionOutage, Region: "mars-1"},
		`no region "saturn-1"`: {Kind: admin.FaultLatency, From: "eu-1", To: "saturn-1"},
	} {
		if err := mesh.CheckFault(f); !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

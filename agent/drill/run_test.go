package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// short is a drill of three seconds on two regions whose service svc fails in
// the first; %s is its last invariant.
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

func TestMeshThatIsSickAlreadyGetsNoVerdict(t *testing.T) {
	m, r := running(t)
	if err := m.FailService("eu-1", "alarms", true); err != nil {
		t.Fatal(err)
	}
	if err := m.FailService("eu-2", "alarms", true); err != nil {
		t.Fatal(err)
	}
	var faults []string
	watched := *r
	watched.Ask = func(ctx context.Context, method, path string, body any) ([]byte, error) {
		if f, ok := body.(admin.Fault); ok {
			faults = append(faults, f.Kind)
		}
		return r.Ask(ctx, method, path, body)
	}
	began := time.Now()
	rep, err := Run(t.Context(), parse(t, short, "30000"), Options{Running: &watched})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Pass || rep.Outcome != NoVerdict || !strings.Contains(rep.Why, "the mesh was sick already: success") || len(rep.Invariants) > 0 || rep.Steady[0].Pass {
		t.Errorf("%+v", rep)
	}
	if !slices.Equal(faults, []string{admin.FaultDrill}) || len(m.Faults()) > 0 {
		t.Errorf("injected: %q, left: %v", faults, m.Faults())
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it went on for %s", took)
	}
}

// failing is a fault that the drill ends with its time line, and a word.
const failing = `
  step "out" {
    at = "500ms"
    evacuate {
      region = "eu-2"
    }
  }
  step "failure" {
    at = "1s"
    instance_failure {
      region  = "eu-1"
      service = "alarms"
    }
  }
  abort "alarms fail" {
    metric   = "success"
    class    = "critical"
    over     = "1s"
    at_least = 60
  }
`

func TestAbortedDrillHealsTheMeshAtOnce(t *testing.T) {
	m, r := running(t)
	d := parse(t, with(strings.Replace(short, `"3s"`, `"40s"`, 1), failing), "30000")
	var out bytes.Buffer
	atOnce := -1 // faults in force when the drill says that it has ended its own
	said := writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("every fault of the drill is ended")) {
			atOnce = len(m.Faults())
		}
		return out.Write(p)
	})
	began := time.Now()
	rep, err := Run(t.Context(), d, Options{Running: r, Progress: said})
	if err != nil {
		t.Fatal(err)
	}
	if atOnce != 1 {
		t.Errorf("%d faults were in force then, want the one that reserves the mesh", atOnce)
	}
	a := rep.Aborted
	if rep.Pass || rep.Outcome != Aborted || a == nil || a.Condition.Name != "alarms fail" || a.Condition.Pass || a.Seconds < 1 || a.Unhealed != "" {
		t.Fatalf("%+v, aborted %+v", rep, a)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it went on for %s", took)
	}
	if !strings.Contains(out.String(), "ABORTED: alarms fail") || !strings.HasPrefix(rep.Why, "aborted at ") {
		t.Errorf("%s\n%s", rep.Why, &out)
	}
	if left := m.Faults(); len(left) > 0 {
		t.Errorf("left in force: %v", left)
	}
	eventually(t, "the word is taken back and alarms work again", func() bool {
		again, err := Run(t.Context(), parse(t, short, "30000"), Options{Running: r})
		return err == nil && again.Outcome != NoVerdict && again.Invariants[0].Pass && !evacuated(t, r)
	})
}

func TestOwnMeshIsHealedToo(t *testing.T) {
	d := parse(t, with(short, failing), "30000")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	mesh, err := startOwn(ctx, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	r := newRun(d, mesh, io.Discard)
	for n := range d.Steps {
		begin, _ := r.doing(&d.Steps[n])
		if err := begin(ctx); err != nil {
			t.Fatal(err)
		}
	}
	own := mesh.(*ownMesh)
	if len(own.Faults()) != 2 || len(own.words) != 1 {
		t.Fatalf("in force: %v and words on %v", own.Faults(), own.words)
	}
	if err := mesh.heal(ctx); err != nil {
		t.Fatal(err)
	}
	if len(own.Faults()) != 0 || len(own.words) != 0 {
		t.Errorf("left in force: %v and words on %v", own.Faults(), own.words)
	}
}

func evacuated(t *testing.T, r *Running) bool {
	t.Helper()
	var regions admin.RegionsAnswer
	if err := r.Ask.get(t.Context(), admin.PathRegions, &regions); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(regions.Regions, func(r admin.Region) bool { return r.Override != nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 40 s: %s", what)
		}
	}
}

func TestLedgerOfAnOwnMeshCountsEveryMessage(t *testing.T) {
	for _, mqtt := range []string{"", "quic", "tls"} {
		t.Run("mqtt "+mqtt, func(t *testing.T) {
			text := strings.Replace(short, `devices = 4`, "devices = 4\n    mqtt = \""+mqtt+"\"", 1)
			rep, err := Run(t.Context(), parse(t, text, "30000"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			l, c := rep.Ledger, rep.Load.Classes["critical"]
			if l == nil || l.Sent != int(c.Sent) || l.Sent < 250 || l.Acknowledged != int(c.Succeeded) || l.Accepted < l.Acknowledged || l.Lost != 0 || l.Counts != *l.Classes["critical"] {
				t.Errorf("%+v of %+v", l, c)
			}
			if added := rep.Invariants[2]; added.Name != "nothing acknowledged is lost" || !added.Pass || added.Samples != l.Sent {
				t.Errorf("%+v", added)
			}
		})
	}
}

func TestLedgerCountsTheMessagesOfBatches(t *testing.T) {
	text := strings.NewReplacer("devices = 4", "devices = 4\n mqtt = \"quic\"", "    agents  = 1", "    agents  = 1\n policy = \"batch.policy.hcl\"").Replace(fmt.Sprintf(short, "30000"))
	file := filepath.Join(t.TempDir(), "batch.hcl")
	policyText, err := os.ReadFile("testdata/batch.policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(text), filepath.Join(filepath.Dir(file), "batch.policy.hcl"): policyText} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if l := rep.Ledger; l.Acknowledged < 250 || l.Accepted != l.Acknowledged || l.Lost != 0 {
		t.Errorf("%+v", l)
	}
}

// journalsOf are the addresses at which a mesh's services keep their journals.
func journalsOf(m *dev.Mesh, service string) (all []string) {
	for _, r := range m.Regions {
		for _, i := range r.Instances {
			if i.Service == service {
				all = append(all, "http://"+i.Addr()+"/journal")
			}
		}
	}
	return all
}

func TestLedgerOfARunningMeshNoticesWhatIsLost(t *testing.T) {
	m, r := running(t)
	all := journalsOf(m, "alarms")
	for name, c := range map[string]struct {
		journals []string
		lost     bool
	}{
		"all journals":            {all, false},
		"one instance's left out": {all[1:], true},
	} {
		quoted, err := json.Marshal(c.journals)
		if err != nil {
			t.Fatal(err)
		}
		d := parse(t, with(short, fmt.Sprintf("  ledger {\n    journals = %s\n  }\n", quoted)), "30000")
		rep, err := Run(t.Context(), d, Options{Running: r})
		if err != nil {
			t.Fatal(err)
		}
		if lost := rep.Invariants[2]; lost.Pass == c.lost || (rep.Ledger.Lost > 0) != c.lost || rep.Pass == c.lost {
			t.Errorf("%s: %+v, %+v", name, lost, rep.Ledger)
		}
	}
}

func TestJournalOutOfReachIsNoticedBeforeAnythingIsBroken(t *testing.T) {
	m, r := running(t)
	for says, block := range map[string]string{
		"connection refused": `  ledger { journals = ["http://127.0.0.1:1/journal"] }`,
		"status 401":         fmt.Sprintf(`  ledger { journals = ["http://%s/v1/nothing"] }`, m.Regions[0].Agents[0].AdminAddr()),
		"where the services": "  invariant \"nothing is lost\" {\n metric = \"lost\"\n at_most = 0\n }",
		"journal: line 1":    fmt.Sprintf(`  ledger { journals = ["http://%s/"] }`, m.Regions[0].Instances[0].Addr()),
	} {
		began := time.Now()
		if _, err := Run(t.Context(), parse(t, with(short, block), "30000"), Options{Running: r}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if time.Since(began) > 2*time.Second {
			t.Errorf("%s: only after %s", says, time.Since(began))
		}
	}
}

// watching observes what other devices do, through both agents of a mesh.
const watching = `
drill "watching" {
  hypothesis = "devices do not notice"
  duration   = "4s"
  observe {}
  step "slow" {
    at  = "1s"
    for = "2s"
    slow_service {
      region  = "eu-2"
      service = "alarms"
      takes   = "200ms"
    }
  }
  invariant "it works" {
    metric   = "success"
    at_least = 99
    samples  = 100
  }
  invariant "slow at eu-2" {
    metric  = "p99"
    edge    = "eu-2"
    class   = "critical"
    from    = "slow"
    until   = "slow.end"
    at_most = 100
  }
  invariant "not at eu-1" {
    metric  = "p99"
    edge    = "eu-1"
    at_most = 100
  }
  invariant "eu-1 serves its half" {
    metric   = "share"
    region   = "eu-1"
    at_least = 40
  }
  invariant "views are built" {
    metric   = "prometheus"
    series   = "tidegate_views_total"
    take     = "increase"
    at_least = 2
  }
}
`

func TestObservedTrafficIsThatOfOthers(t *testing.T) {
	m, first := running(t)
	_, second := askedAt(m, 1)
	first.Others = []Ask{second.Ask}
	ctx, cancel := context.WithCancel(t.Context())
	others := parse(t, short, "1").Load
	others.Duration, others.Extra, others.Seed = 0, nil, 1
	m.Aim(&others)
	sent := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, others)
		sent <- err
	}()
	rep, err := Run(t.Context(), parse(t, watching), Options{Running: first})
	cancel()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for n, pass := range []bool{true, false, true, true, true} {
		if v := rep.Invariants[n]; v.Pass != pass || v.Samples == 0 {
			t.Errorf("%+v", v)
		}
	}
	if all := rep.Invariants[0].Samples; all < 170 || all > 230 {
		t.Errorf("%d requests were seen, about 200 were sent", all)
	}
	if rep.Load != nil || rep.Ledger != nil {
		t.Errorf("%+v", rep)
	}
}

func TestNothingToObserveGivesNoVerdict(t *testing.T) {
	_, r := running(t)
	if rep, err := Run(t.Context(), parse(t, watching), Options{Running: r}); err != nil || rep.Outcome != NoVerdict {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := Run(t.Context(), parse(t, watching), Options{}); !errors.Is(err, policy.ErrInvalid) {
		t.Error(err)
	}
}

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

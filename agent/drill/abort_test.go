package drill

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
)

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

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/catalog/consultest"
	"github.com/tidegate/tidegate/test/mesh"
)

// quickStart runs the commands of the README's quick start.
type quickStart struct {
	dir string
	env []string
}

func newQuickStart(t *testing.T) *quickStart {
	t.Helper()
	programs, state := t.TempDir(), t.TempDir()
	for name, path := range map[string]string{"consul": consultest.Binary(t), "tidegate": mesh.Binary(t)} {
		if err := os.Symlink(path, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	scripts, err := filepath.Abs("../deploy/quickstart")
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{programs, scripts, os.Getenv("PATH")}, string(filepath.ListSeparator))
	q := &quickStart{dir: state, env: append(os.Environ(), "PATH="+path, "STATE="+state)}
	t.Cleanup(func() {
		if out, err := q.try("mesh.sh down"); err != nil {
			t.Errorf("mesh.sh down: %v: %s", err, out)
		}
	})
	return q
}

func (q *quickStart) try(script string) (string, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env, cmd.WaitDelay = q.dir, q.env, time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (q *quickStart) do(t *testing.T, script string) {
	t.Helper()
	if out, err := q.try(script); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// await polls a script until it prints want.
func (q *quickStart) await(t *testing.T, script, want string) {
	t.Helper()
	mesh.Await(t, 30*time.Second, func() string {
		out, err := q.try(script)
		if err != nil || !strings.Contains(out, want) {
			return script + " says " + out
		}
		return ""
	})
}

func TestConsulQuickStartOfTheReadmeWorks(t *testing.T) {
	mesh.Tool(t, "curl", "curl")
	q := newQuickStart(t)
	for _, step := range []string{"secrets", "consul", "agents", "services"} {
		q.do(t, "mesh.sh "+step)
	}
	q.env = append(q.env, "TIDEGATE_ADMIN=http://127.0.1.11:7400")
	control := `export TIDEGATE_TOKEN="$(cat token)"; `
	policy, err := filepath.Abs("../deploy/quickstart/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	q.do(t, control+"tidegate policy apply "+policy)
	send := "curl -sS -m 5 --cacert ca.pem --cert device.pem --key device.key -d @- https://127.0.1.11:7443/v1/devices/d1/"
	q.await(t, send+`alarms <<<x`, `alarms in eu-1: POST /ingest/d1 for device "d1"`)
	q.await(t, send+`telemetry <<<'{"celsius": 20}'`, "taken note of")
	q.await(t, send+`telemetry <<<'{"celsius": 93}'`, "alarms in eu-1: POST /v1/devices/d1/telemetry")
	q.await(t, control+`curl -sS -m 5 -H 'Host: alarms.mesh' -H "Proxy-Authorization: Bearer $TIDEGATE_TOKEN" http://127.0.1.11:7080/x`, "alarms in eu-1: GET /x")
	q.do(t, "mesh.sh kill eu-1/alarms")
	q.await(t, send+`alarms <<<x`, "alarms in eu-2")
	q.do(t, "mesh.sh kill eu-2")
	q.await(t, send+`alarms <<<x`, "alarms in us-1")
	q.await(t, control+"tidegate regions", "held down by gateway")
	q.do(t, control+"mesh.sh consul && mesh.sh agents && mesh.sh services && tidegate policy apply "+policy)
	q.await(t, send+`alarms <<<x`, "alarms in eu-1")
	q.await(t, control+"tidegate explain POST /v1/devices/d1/alarms", "2. eu-2: in the group")
}

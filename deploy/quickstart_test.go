package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

func TestQuickStartIsSound(t *testing.T) {
	run(t, ".", tool(t, "shellcheck"), "quickstart/mesh.sh")
	for _, file := range samples(t, "quickstart/*.hcl") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := config.Format(file, src); err != nil || string(out) != string(src) {
			t.Errorf("%s is not laid out as tidegate fmt does: %v", file, err)
		}
	}
	src, err := os.ReadFile("quickstart/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(policy.File{Name: "policy.hcl", Src: src}); err != nil {
		t.Error(err)
	}
}

// The secrets that mesh.sh makes are those that agent.hcl asks for.
func TestQuickStartSecretsFitItsConfiguration(t *testing.T) {
	bash := tool(t, "bash")
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	run(t, "..", "go", "build", "-o", filepath.Join(dir, "tidegate"), ".")
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("STATE", state)
	run(t, ".", bash, "quickstart/mesh.sh", "secrets")
	for name, value := range map[string]string{"NAME": "us-1-a2", "REGION": "us-1", "GROUP": "us", "IP": "127.0.1.32", "CONSUL": "127.0.1.3:8500"} {
		t.Setenv(name, value)
	}
	got, err := config.Load([]string{filepath.Join(state, "us-1", "a2", "agent.hcl")}, os.LookupEnv, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) > 0 || got.Listeners.Edge.Addr != "127.0.1.32:7443" {
		t.Errorf("warnings %q, edge at %s", got.Warnings, got.Listeners.Edge.Addr)
	}
}

// Package deploy holds what an operator installs; its tests load and check it.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/drill"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func samples(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// installed copies the samples where their secrets and certificates are, made
// for the agent.
func installed(t *testing.T, region, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("config")); err != nil {
		t.Fatal(err)
	}
	ca, err := transport.NewAuthority("test", "tidegate.internal", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	mesh, err := ca.IssueMesh(region, name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	edge, err := ca.IssueEdge([]string{"localhost"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{
		"tls/ca.pem": ca.CertPEM(), "tls/mesh.pem": mesh.CertPEM, "tls/mesh.key": mesh.KeyPEM,
		"tls/edge.pem": edge.CertPEM, "tls/edge.key": edge.KeyPEM,
		"secrets/gossip.key":   []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"),
		"secrets/admin.token":  []byte("0123456789abcdef\n"),
		"secrets/egress.token": []byte("0123456789abcdef\n"),
		"secrets/consul.token": []byte("a-token\n"),
	} {
		write(t, filepath.Join(dir, path), data)
	}
	return dir
}

func noEnv(string) (string, bool) { return "", false }

var nameLine, regionLine = regexp.MustCompile(`(?m)^name += "(.+)"`), regexp.MustCompile(`(?m)^region += "(.+)"`)

func loadSample(t *testing.T, file string) *config.Config {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name, flags := "by-host", map[string]string{}
	if found := nameLine.FindSubmatch(src); found != nil {
		name = string(found[1])
	} else {
		flags["name"] = name
	}
	dir := installed(t, string(regionLine.FindSubmatch(src)[1]), name)
	got, err := config.Load([]string{filepath.Join(dir, filepath.Base(file))}, noEnv, flags)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSampleConfigurationsLoad(t *testing.T) {
	for _, file := range samples(t, "config/*.hcl") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if got := loadSample(t, file); len(got.Warnings) > 0 {
				t.Errorf("warnings: %q", got.Warnings)
			}
		})
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	src, err := os.ReadFile("config/agent.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		name := key[strings.LastIndexByte(key, '.')+1:]
		if !regexp.MustCompile(`(?m)^ *(# )?` + name + ` += `).Match(src) {
			t.Errorf("config/agent.hcl does not show %s", key)
		}
	}
}

func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	got, want := loadSample(t, "config/agent.hcl"), config.Defaults()
	consul := loadSample(t, "config/minimal.hcl").Catalog.Consul
	consul.Address = got.Catalog.Consul.Address // from CONSUL_HTTP_ADDR when not set
	want.Listeners.Admin.Token = got.Listeners.Admin.Token
	want.Listeners.Admin.Hosts, got.Listeners.Admin.Hosts = nil, nil
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"group", got.Group, want.Group}, {"data_dir", got.DataDir, want.DataDir},
		{"drain_timeout", got.DrainTimeout, want.DrainTimeout}, {"log", got.Log, want.Log},
		{"edge", got.Listeners.Edge, want.Listeners.Edge}, {"mesh", got.Listeners.Mesh, want.Listeners.Mesh},
		{"lan", got.Listeners.LAN, want.Listeners.LAN}, {"wan", got.Listeners.WAN, want.Listeners.WAN},
		{"admin", got.Listeners.Admin, want.Listeners.Admin}, {"client_auth", got.TLS.Edge.ClientAuth, want.TLS.Edge.ClientAuth},
		{"timing", got.Gossip.Timing, want.Gossip.Timing}, {"limits", got.Limits, want.Limits},
		{"consul", got.Catalog.Consul, consul},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: config/agent.hcl says %+v, the default is %+v", c.name, c.got, c.want)
		}
	}
}

func TestSamplePoliciesCompile(t *testing.T) {
	for _, file := range samples(t, "config/policy/*.hcl") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Parse(policy.File{Name: file, Src: src}); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestSampleDrillsAreValid(t *testing.T) {
	for _, file := range samples(t, "drills/*.hcl") {
		if strings.HasSuffix(file, ".policy.hcl") {
			continue // read by the drill that names it
		}
		if _, err := drill.ReadFile(file); err != nil {
			t.Error(err)
		}
	}
}

func TestSamplesAreFormatted(t *testing.T) {
	files := samples(t, "config/*.hcl")
	files = append(files, samples(t, "config/policy/*.hcl")...)
	files = append(files, samples(t, "consul/*.hcl")...)
	files = append(files, samples(t, "drills/*.hcl")...)
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, err := config.Format(file, src)
		if err != nil {
			t.Error(err)
		} else if string(out) != string(src) {
			t.Errorf("%s is not laid out as tidegate fmt does", file)
		}
	}
}

// tool finds a program, or skips; with TIDEGATE_REQUIRE_TOOLS=1 it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("TIDEGATE_REQUIRE_TOOLS") == "1":
		t.Fatalf("%s is missing: make tools", name)
	default:
		t.Skipf("%s is missing: make tools", name)
	}
	return path
}

func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

func TestVagrantfileIsValid(t *testing.T) {
	run(t, "..", tool(t, "ruby"), "-c", "Vagrantfile")
	t.Setenv("VAGRANT_HOME", t.TempDir())
	t.Setenv("VAGRANT_CHECKPOINT_DISABLE", "1")
	t.Setenv("VAGRANT_DOTFILE_PATH", t.TempDir())
	run(t, "..", tool(t, "vagrant"), "validate", "--ignore-provider")
}

func TestScriptsPassShellcheck(t *testing.T) {
	shellcheck := tool(t, "shellcheck")
	for _, file := range append(samples(t, "vagrant/*.sh"), "../test/fuzz.sh", "../test/tools.sh", "../.ci/run") {
		run(t, ".", shellcheck, "--external-sources", "--source-path=SCRIPTDIR", file)
	}
}

func TestSystemdUnitsAreValid(t *testing.T) {
	verify := tool(t, "systemd-analyze")
	for _, file := range samples(t, "systemd/*.service") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// verify wants the program to be there
		there := regexp.MustCompile(`/usr/local/bin/\w+`).ReplaceAll(src, []byte("/bin/true"))
		unit := filepath.Join(t.TempDir(), filepath.Base(file))
		write(t, unit, there)
		if out := run(t, ".", verify, "verify", "--man=no", unit); out != "" {
			t.Errorf("%s: %s", file, out)
		}
	}
}

// pki.sh makes what agent.sh installs, and a second run changes nothing.
func TestTrialSecretsFitTheSampleConfiguration(t *testing.T) {
	bash := tool(t, "bash")
	dir := t.TempDir()
	binary := filepath.Join(dir, "tidegate")
	run(t, "..", "go", "build", "-o", binary, ".")
	t.Setenv("TIDEGATE", binary)
	pki, etc := filepath.Join(dir, "pki"), filepath.Join(dir, "etc")
	run(t, ".", bash, "vagrant/pki.sh", pki, "eu-1/eu-1-a1=127.0.0.1", "us-1/us-1-a1=127.0.0.2")
	if err := os.CopyFS(filepath.Join(dir, "before"), os.DirFS(pki)); err != nil {
		t.Fatal(err)
	}
	run(t, ".", bash, "vagrant/pki.sh", pki, "eu-1/eu-1-a1=127.0.0.1", "us-1/us-1-a1=127.0.0.2")
	run(t, dir, "diff", "-r", "before", "pki")
	for from, to := range map[string]string{
		"ca.pem": "tls/ca.pem", "eu-1-a1/mesh.pem": "tls/mesh.pem", "eu-1-a1/mesh.key": "tls/mesh.key",
		"eu-1-a1/edge.pem": "tls/edge.pem", "eu-1-a1/edge.key": "tls/edge.key", "gossip.key": "secrets/gossip.key",
		"eu-1-a1/admin.token": "secrets/admin.token", "consul.token": "secrets/consul.token",
	} {
		data, err := os.ReadFile(filepath.Join(pki, from))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(etc, to), data)
	}
	src, err := os.ReadFile("config/consul-eu-1.hcl")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(etc, "agent.hcl"), src)
	run(t, etc, binary, "validate", "agent.hcl")
}

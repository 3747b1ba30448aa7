package config

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/transport"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

const catalogSource = `catalog {
  static {
    service "alarms" {
      instance { address = "127.0.0.1:9001" }
    }
  }
}
`

// place is a working directory with certificates, and the values that make a
// configuration complete.
func place(t testing.TB) map[string]string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(name string) func(transport.Issued, error) {
		return func(issued transport.Issued, err error) {
			if err != nil {
				t.Fatal(err)
			}
			write(name+".pem", issued.CertPEM)
			write(name+".key", issued.KeyPEM)
		}
	}
	ca, stranger := authority(t), authority(t)
	write("ca.pem", ca.CertPEM())
	write("stranger.pem", stranger.CertPEM())
	issue("mesh")(ca.IssueMesh("eu-1", "a1", time.Hour))
	issue("edge")(ca.IssueEdge([]string{"localhost"}, time.Hour))
	issue("other")(ca.IssueEdge([]string{"localhost"}, time.Hour))
	issue("device")(ca.IssueDevice("d1", nil, time.Hour))
	write("garbage.pem", []byte("no certificate"))
	write("policy.hcl", nil)
	write("catalog.hcl", []byte(catalogSource))
	t.Chdir(dir)
	return map[string]string{
		"name": "a1", "region": "eu-1", "gossip.keys": testKey,
		"tls.mesh.cert": "mesh.pem", "tls.mesh.key": "mesh.key", "tls.mesh.ca": "ca.pem",
		"tls.edge.cert": "edge.pem", "tls.edge.key": "edge.key", "tls.edge.client_ca": "ca.pem",
		"listeners.admin.token": "0123456789abcdef", "policy.file": "policy.hcl", "catalog": "catalog.hcl",
	}
}

func authority(t testing.TB) *transport.Authority {
	t.Helper()
	a, err := transport.NewAuthority("test", "mesh.example", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func noEnv(string) (string, bool) { return "", false }

// load reads a source completed by values; "catalog" is a second file.
func load(t testing.TB, source string, values map[string]string, env Env) (*Config, error) {
	t.Helper()
	if err := os.WriteFile("agent.hcl", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []string{"agent.hcl"}
	flags := maps.Clone(values)
	if flags["catalog"] != "" {
		files = append(files, flags["catalog"])
	}
	delete(flags, "catalog")
	return Load(files, env, flags)
}

func TestBadConfigurationIsRefusedWithFileAndLine(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hcl"), func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(home, file))
			if err != nil {
				t.Fatal(err)
			}
			values := place(t)
			dir, _ := os.Getwd()
			first, _, _ := strings.Cut(string(source), "\n")
			if keys, found := strings.CutPrefix(first, "# without: "); found {
				for _, key := range strings.Fields(keys) {
					delete(values, key)
				}
			}
			if strings.Contains(string(source), "name = \"a2\"") {
				delete(values, "name")
			}
			config, err := load(t, string(source), values, noEnv)
			if config != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, %v, want an error of kind ErrInvalid", config, err)
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
			golden(t, filepath.Join(home, strings.TrimSuffix(file, ".hcl")+".golden"), got)
			if strings.Contains(got, "hunter2") {
				t.Error("the message shows a secret")
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

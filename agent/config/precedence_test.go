package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFlagsStandOverEnvironmentOverFileOverDefaults(t *testing.T) {
	const key = "listeners.edge.addr"
	inFile := "listeners {\n  edge {\n    addr = \":1\"\n  }\n}\n"
	inEnv := func(name string) (string, bool) { return ":2", name == "TIDEGATE_LISTENERS_EDGE_ADDR" }
	for _, c := range []struct {
		name, source string
		env          Env
		flag         string
		want         string
	}{
		{"default", "", noEnv, "", ":7443"},
		{"file", inFile, noEnv, "", ":1"},
		{"environment", inFile, inEnv, "", ":2"},
		{"flag", inFile, inEnv, ":3", ":3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			values := place(t)
			if c.flag != "" {
				values[key] = c.flag
			}
			got, err := load(t, c.source, values, c.env)
			if err != nil {
				t.Fatal(err)
			}
			if got.Listeners.Edge.Addr != c.want {
				t.Errorf("%s = %q, want %q", key, got.Listeners.Edge.Addr, c.want)
			}
		})
	}
}

func TestEmptyEnvironmentVariableCountsAsNotSet(t *testing.T) {
	values := place(t)
	empty := func(name string) (string, bool) { return "", true }
	got, err := load(t, `group = "eu"`, values, empty)
	if err != nil {
		t.Fatal(err)
	}
	if got.Group != "eu" {
		t.Errorf("group = %q, want that of the file", got.Group)
	}
}

// Every key can be set from outside: the environment reaches each one.
func TestEveryKeyCanBeSetByEnvironmentAndFlag(t *testing.T) {
	seen := map[string]string{}
	for _, key := range Keys() {
		name := EnvName(key)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s share %s", key, other, name)
		}
		seen[name] = key
		value := "1"
		if fieldAt(reflect.ValueOf(Defaults()).Elem(), key).value.Type() == durationType {
			value = "1s"
		}
		l := newLoader(func(asked string) (string, bool) { return value, asked == name })
		l.overrides(nil)
		f := fieldAt(reflect.ValueOf(l.config).Elem(), key)
		if l.origins[key].label != "environment "+name || f.value.IsZero() || len(l.faults) > 0 {
			t.Errorf("%s is not set by %s", key, name)
		}
	}
	if !slices.Contains(Keys(), "catalog.consul.token") || len(seen) < 50 {
		t.Errorf("keys are missing: %v", Keys())
	}
}

func TestUnknownFlagKeyIsRefused(t *testing.T) {
	values := place(t)
	values["listeners.edge.adr"] = ":1"
	if _, err := load(t, "", values, noEnv); err == nil {
		t.Error("an unknown key was taken")
	}
}

func TestFaultOfAnOverrideNamesItsOrigin(t *testing.T) {
	values := place(t)
	env := func(name string) (string, bool) { return "soon", name == "TIDEGATE_DRAIN_TIMEOUT" }
	_, err := load(t, "", values, env)
	want := `environment TIDEGATE_DRAIN_TIMEOUT: "soon" must be a duration in quotes, such as "30s"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPathsOfAFileBeginInItsDirectoryOthersInTheWorkingDirectory(t *testing.T) {
	values := place(t)
	if err := os.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mesh.pem", "token"} {
		src := []byte("0123456789abcdef from a file\n")
		if name == "mesh.pem" {
			src, _ = os.ReadFile(name)
		}
		if err := os.WriteFile(filepath.Join("sub", name), src, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	source := `
data_dir = "state"
tls {
  mesh {
    cert = "mesh.pem"
  }
}
listeners {
  admin {
    token = file("token")
  }
}
`
	if err := os.WriteFile("sub/agent.hcl", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(values, "tls.mesh.cert")
	delete(values, "listeners.admin.token")
	catalog := values["catalog"]
	delete(values, "catalog")
	got, err := Load([]string{"sub", catalog}, noEnv, values)
	if err != nil {
		t.Fatal(err)
	}
	here, _ := os.Getwd()
	for _, c := range [][2]string{
		{got.TLS.Mesh.Cert, "sub/mesh.pem"}, {got.DataDir, "sub/state"},
		{got.TLS.Mesh.Key, filepath.Join(here, "mesh.key")},
		{got.Listeners.Admin.Token.Reveal(), "0123456789abcdef from a file"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}

func TestDirectoryIsReadInOrderOfNamesAndJSONIsTaken(t *testing.T) {
	values := place(t)
	if err := os.Mkdir("conf.d", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{
		"10-log.hcl":        `log { level = "debug" }`,
		"20-drain.hcl.json": `{"drain_timeout": "5s", "listeners": {"egress": {"token": "${env(\"T\")}"}}}`,
		"30-catalog.hcl":    catalogSource,
		"notes.txt":         "not configuration",
	} {
		if err := os.WriteFile(filepath.Join("conf.d", name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	delete(values, "catalog")
	env := func(name string) (string, bool) { return "0123456789abcdef", name == "T" }
	got, err := Load([]string{"conf.d"}, env, values)
	if err != nil {
		t.Fatal(err)
	}
	if got.Log.Level != "debug" || got.DrainTimeout != 5*time.Second || got.Catalog.Static == nil {
		t.Errorf("a file of the directory was not read: %+v", got)
	}
	if got.Listeners.Egress == nil || got.Listeners.Egress.Addr != "127.0.0.1:7080" {
		t.Errorf("egress = %+v, want the default address", got.Listeners.Egress)
	}
}

func TestSocketTakesThePlaceOfTheDefaultAddress(t *testing.T) {
	values := place(t)
	delete(values, "listeners.admin.token")
	values["listeners.admin.socket"] = "admin.sock"
	got, err := load(t, "", values, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got.Listeners.Admin.Addr != "" || filepath.Base(got.Listeners.Admin.Socket) != "admin.sock" {
		t.Errorf("admin = %+v, want the socket alone", got.Listeners.Admin)
	}
}

func TestConsulBlockCarriesItsDefaultsToTheCatalog(t *testing.T) {
	values := place(t)
	delete(values, "catalog")
	got, err := load(t, "catalog {\n  consul { token = \"secret-id\" }\n}", values, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Catalog.Consul.Catalog()
	if c.Token != "secret-id" || c.WaitTime != "1m0s" || c.Check != CheckTTL || c.TTL != "15s" {
		t.Errorf("got %+v", c)
	}
	if out, err := json.Marshal(got.Catalog.Consul); err != nil || strings.Contains(string(out), "secret-id") {
		t.Errorf("JSON is %s, %v, want the token masked", out, err)
	}
}

func TestMissingFileAndEmptyDirectoryAreRefused(t *testing.T) {
	for _, path := range []string{"no-such-file.hcl", t.TempDir()} {
		if got, err := Load([]string{path}, noEnv, nil); got != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("Load(%q) = %v, %v, want an error of kind ErrInvalid", path, got, err)
		}
	}
}

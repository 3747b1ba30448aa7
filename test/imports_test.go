package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tidegate/tidegate"

// pkg is a package of this module, named by its folder, and what it imports:
// "all" is with its tests.
type pkg struct {
	name         string
	imports, all []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found = append(found, pkg{folder(p.ImportPath), p.Imports, slices.Concat(p.Imports, p.TestImports, p.XTestImports)})
	}
}

// folder turns an import path of ours into its folder, "main" for the root, and
// leaves others alone.
func folder(importPath string) string {
	if importPath == module {
		return "main"
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func under(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

// allowed says which folders a package may import, by the longest folder that
// covers it. The direction is policy ← gossip, transport ← agent ← agent/dev,
// agent/drill ← agent/cli ← main.
var allowed = map[string][]string{
	"policy":           {},
	"gossip":           {"policy"},
	"transport":        {"policy", "transport"},
	"transport/fault":  {"transport"},
	"transport/device": {"transport"},
	"transport/edge":   {"policy", "transport"},
	// The parts of the agent know what lies below it and each other, not the
	// whole, nor what is built on it.
	"agent/admin":    {"policy", "agent/admin"},
	"agent/config":   {"policy", "transport", "agent/catalog", "agent/config"},
	"agent/catalog":  {"policy", "agent/catalog"},
	"agent/presence": {},
	"agent/inject":   {"policy", "transport/fault", "agent/admin"},
	"agent/upstream": {"policy", "agent/upstream"},
	"agent":          {"policy", "gossip", "transport", "agent/admin", "agent/config", "agent/catalog", "agent/inject", "agent/presence", "agent/upstream"},
	"agent/ledger":   {},
	"agent/load":     {"policy", "transport", "agent/ledger", "agent/load"},
	"agent/dev":      {"policy", "gossip", "transport", "agent"},
	"agent/drill":    {"policy", "gossip", "transport", "agent"},
	"agent/cli":      {"policy", "gossip", "transport", "agent"},
	"main":           {"agent/cli"},
	"deploy":         {"policy", "transport", "agent"},
	"test":           {"policy", "gossip", "transport", "agent", "test"},
}

// above are the packages built on the agent: what allows "agent" as a whole
// does not allow these, except as listed.
var above = map[string][]string{
	"agent/dev":   {"agent/drill", "agent/cli"},
	"agent/drill": {"agent/cli"},
	"agent/cli":   {},
}

func rule(name string) ([]string, bool) {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if list, found := allowed[dir]; found {
			return list, true
		}
	}
	return nil, false
}

func mayImport(from, to string) bool {
	for folder, users := range above {
		if under(to, folder) && !under(from, folder) && !under(from, "test") && !slices.Contains(users, from) {
			return from == "main" && to == "agent/cli"
		}
	}
	list, _ := rule(from)
	return slices.ContainsFunc(list, func(folder string) bool { return under(to, folder) })
}

func TestImportsFollowTheDirectionOfTheDesign(t *testing.T) {
	for _, p := range packages(t) {
		if _, found := rule(p.name); !found {
			t.Errorf("%s has no place in the design: add it to the rules", p.name)
			continue
		}
		for _, imported := range p.imports {
			if to := folder(imported); ours(imported) && !mayImport(p.name, to) {
				t.Errorf("%s imports %s: against the direction of the design", p.name, to)
			}
		}
	}
}

func TestNothingImportsTest(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.all {
			if under(folder(imported), "test") && !under(p.name, "test") {
				t.Errorf("%s imports %s", p.name, imported)
			}
		}
	}
}

func TestGossipAndTransportDoNotKnowEachOther(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.all {
			to := folder(imported)
			if under(p.name, "gossip") && under(to, "transport") || under(p.name, "transport") && under(to, "gossip") {
				t.Errorf("%s imports %s", p.name, to)
			}
		}
	}
}

func TestPolicyIsPure(t *testing.T) {
	impure := []string{"net", "os", "syscall", "io/fs", "io/ioutil", "log", "database/sql"}
	onlyValues := []string{"net/netip", "net/textproto", "net/url"} // used for what they parse
	found := false
	for _, p := range packages(t) {
		if !under(p.name, "policy") {
			continue
		}
		found = true
		for _, imported := range p.imports {
			if !slices.Contains(onlyValues, imported) && slices.ContainsFunc(impure, func(folder string) bool { return under(imported, folder) }) {
				t.Errorf("%s imports %s: decisions do no I/O", p.name, imported)
			}
			if ours(imported) {
				t.Errorf("%s imports %s: it is the lowest of all", p.name, imported)
			}
		}
	}
	if !found {
		t.Error("there is no package policy")
	}
}

func TestRulesThemselvesForbidWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{"policy", "gossip", false},
		{"gossip", "policy", true},
		{"gossip", "transport", false},
		{"transport", "gossip", false},
		{"transport/edge", "transport", true},
		{"transport/device", "policy", false},
		{"transport", "agent", false},
		{"agent", "agent/config", true},
		{"agent/config", "agent", false},
		{"agent", "agent/dev", false},
		{"agent/dev", "agent", true},
		{"agent/dev", "agent/cli", false},
		{"agent/drill", "agent/dev", true},
		{"agent/dev", "agent/drill", false},
		{"agent/cli", "agent/drill", true},
		{"main", "agent/cli", true},
		{"main", "agent", false},
		{"agent", "test/bench", false},
		{"test/bench", "agent", true},
	} {
		if got := mayImport(c.from, c.to); got != c.may {
			t.Errorf("%s imports %s: allowed is %v, want %v", c.from, c.to, got, c.may)
		}
	}
}

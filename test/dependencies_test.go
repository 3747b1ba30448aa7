package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// required are the modules of a module file, the tools' own first.
func required(t *testing.T, modfile string) (tools, modules []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", modfile)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read %s: %v", modfile, err)
	}
	var file struct{ Require, Tool []struct{ Path string } }
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Require {
		modules = append(modules, r.Path)
	}
	for _, tool := range file.Tool {
		tools = append(tools, moduleOf(tool.Path, modules))
	}
	return tools, modules
}

// moduleOf is the module that holds a package, "" when it is none of these.
func moduleOf(importPath string, modules []string) (longest string) {
	for _, m := range modules {
		if under(importPath, m) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}

// listed are the modules in the first column of the page's tables.
func listed(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllSubmatch(page, -1) {
		found = append(found, string(row[1]))
	}
	return found
}

func TestEveryDependencyIsExplained(t *testing.T) {
	_, modules := required(t, "go.mod")
	var used []string
	for _, p := range packages(t) {
		for _, imported := range p.all {
			if m := moduleOf(imported, modules); m != "" {
				used = append(used, m)
			}
		}
	}
	for _, file := range []string{"tools.mod", "test/consul.mod", "test/caddy.mod"} {
		tools, _ := required(t, file)
		used = append(used, tools...)
	}
	slices.Sort(used)
	used = slices.Compact(used)
	page := listed(t)
	for _, m := range used {
		if !slices.Contains(page, m) {
			t.Errorf("docs/dependencies.md does not say why we use %s", m)
		}
	}
	for _, m := range page {
		if !slices.Contains(used, m) {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", m)
		}
	}
}

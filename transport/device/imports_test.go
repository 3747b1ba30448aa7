package device

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// What runs on devices brings nothing of the agent with it.
func TestTheSDKImportsNothingElseOfThisRepository(t *testing.T) {
	files := must[[]string](t)(filepath.Glob("*.go"))
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			if strings.Contains(imported.Path.Value, "tidegate/tidegate") {
				t.Errorf("%s imports %s", name, imported.Path.Value)
			}
		}
	}
}

package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

var (
	link   = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	inCode = regexp.MustCompile("`([A-Za-z0-9_-]+/[A-Za-z0-9_./-]*)`")
)

func TestDocumentsNameFilesThatAreThere(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("../docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range slices.Concat(pages, decisions, []string{"../README.md", "../ARCHITECTURE.md"}) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			there(t, page, filepath.Join(filepath.Dir(page), string(m[1])))
		}
		if strings.HasSuffix(page, "ARCHITECTURE.md") {
			for _, m := range inCode.FindAllSubmatch(text, -1) {
				if name := string(m[1]); !strings.HasPrefix(name, "data_dir/") {
					there(t, page, filepath.Join("..", name))
				}
			}
		}
	}
}

func there(t *testing.T, page, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%s names %s, which is not there", page, path)
	}
}

func TestReadmeShowsAPolicyThatCompiles(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no policy")
	}
	for _, b := range blocks {
		if _, err := policy.Parse(policy.File{Name: "README.md", Src: b[1]}); err != nil {
			t.Error(err)
		}
		if out, err := policy.Format("README.md", b[1]); err != nil || string(out) != string(b[1]) {
			t.Errorf("it is not laid out as tidegate fmt does: %v", err)
		}
	}
}

package config

import (
	"bytes"
	encoding "encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/hashicorp/hcl/v2/json"
)

const (
	maxSource  = 4 << 20 // bytes of one file
	maxNesting = 64      // brackets inside brackets, operators in a row
)

// expand lists the files that paths name: a file itself, a directory's *.hcl
// and *.hcl.json in the order of their names.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := Files(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

// Files lists the *.hcl and *.hcl.json of a directory in the order of their
// names. A directory without any is an error of kind ErrInvalid.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")) {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no *.hcl in directory %s", ErrInvalid, dir)
	}
	sort.Strings(files)
	return files, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(src) > maxSource {
		err = fmt.Errorf("%s is larger than %s", path, Size(maxSource))
	}
	return src, err
}

// parse turns a source into a body; ".json" is HCL's JSON form.
func parse(name string, src []byte) (*hcl.File, []Diagnostic) {
	if place := tooDeep(name, src); place != nil {
		return nil, []Diagnostic{at(place, "nested too deeply")}
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(name, ".json") {
		file, diags = json.Parse(src, name)
	} else {
		file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	if diags.HasErrors() {
		return nil, fromHCL(diags)
	}
	return file, nil
}

// TooDeep says whether a source is nested deeper than any honest one, which
// would exhaust the stack of the recursive parser: ask before parsing.
func TooDeep(src []byte) bool { return tooDeep("", src) != nil }

func tooDeep(name string, src []byte) *hcl.Range {
	depth, run, questions := 0, 0, 0
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	for _, token := range tokens {
		prefix := false
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth = max(depth-1, 0)
		case hclsyntax.TokenQuestion:
			questions++
		case hclsyntax.TokenBang, hclsyntax.TokenMinus:
			prefix = true
			run++
		}
		if !prefix {
			run = 0
		}
		if depth > maxNesting || run > maxNesting || questions > maxNesting {
			return &token.Range
		}
	}
	return nil
}

// Format lays out HCL source the canonical way, and JSON indented. It looks at
// syntax only, so it fits every HCL file of Tidegate; its errors are *Error,
// kind ErrInvalid, and show no text of the file.
func Format(name string, src []byte) ([]byte, error) {
	if _, faults := parse(name, src); len(faults) > 0 {
		return nil, &Error{faults}
	}
	if !strings.HasSuffix(name, ".json") {
		return hclwrite.Format(src), nil
	}
	var out bytes.Buffer
	if err := encoding.Indent(&out, bytes.TrimSpace(src), "", "  "); err != nil {
		return nil, &Error{[]Diagnostic{{File: name, Line: 1, Column: 1, Message: err.Error()}}}
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

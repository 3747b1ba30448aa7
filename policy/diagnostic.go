package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is one thing that is wrong in a source, and where.
type Diagnostic struct {
	File    string
	Line    int    // from 1; 0: the source as a whole
	Column  int    // from 1, in characters
	Text    string // the faulty source line, at most 200 characters of it
	Problem string // what is wrong, with the value
	Fix     string // what to do about it
}

// String returns the diagnostic over up to three lines: "file:line:column:
// problem", the faulty text, and what to do.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(d.Problem)
	if d.Line > 0 {
		fmt.Fprintf(&b, "\n  %d | %s", d.Line, d.Text)
	}
	if d.Fix != "" {
		fmt.Fprintf(&b, "\n  %s", d.Fix)
	}
	return b.String()
}

// Diagnostics is the error of Parse and Format: what was found wrong, by file
// and line, the first 50 of it. It is of kind ErrInvalid.
type Diagnostics []Diagnostic

// Error returns all diagnostics, one after the other.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Is makes errors.Is(err, ErrInvalid) true.
func (ds Diagnostics) Is(target error) bool { return target == ErrInvalid }

// findings collects diagnostics and adds the faulty text to them.
type findings struct {
	files []File
	list  Diagnostics
	count int // of all that were added; list stops growing at maxFindings
}

// add records a problem at a place. The fix may be empty.
func (f *findings) add(at hcl.Range, fix, problem string, args ...any) {
	if f.count++; f.count > maxFindings {
		return
	}
	f.list = append(f.list, Diagnostic{
		File:    at.Filename,
		Line:    at.Start.Line,
		Column:  at.Start.Column,
		Text:    f.line(at.Filename, at.Start.Line),
		Problem: fmt.Sprintf(problem, args...),
		Fix:     fix,
	})
}

// addHCL records what the HCL library found, with the fix where it has none.
func (f *findings) addHCL(diags hcl.Diagnostics, fix string) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := hcl.Range{}
		if d.Subject != nil {
			at = *d.Subject
		}
		f.add(at, fix, "%s: %s", d.Summary, d.Detail)
	}
}

// err returns everything found, by file and place, or nil.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	position := map[string]int{}
	for i, file := range f.files {
		position[file.Name] = i
	}
	slices.SortStableFunc(f.list, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(position[a.File], position[b.File]),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
	if more := f.count - maxDiagnostics; more > 0 {
		f.list = append(f.list[:maxDiagnostics], Diagnostic{Problem: fmt.Sprintf("and %d more", more)})
	}
	return f.list
}

// line returns a source line fit for a terminal.
func (f *findings) line(name string, number int) string {
	for _, file := range f.files {
		if file.Name == name && number > 0 {
			return printable(nthLine(file.Src, number))
		}
	}
	return ""
}

func nthLine(src []byte, number int) []byte {
	for ; number > 1; number-- {
		end := bytes.IndexByte(src, '\n')
		if end < 0 {
			return nil
		}
		src = src[end+1:]
	}
	line, _, _ := bytes.Cut(src, []byte("\n"))
	return line
}

func printable(line []byte) string {
	if len(line) > 4*maxFaultyText {
		line = line[:4*maxFaultyText]
	}
	runes := []rune(strings.TrimRight(string(line), " \t\r"))
	if len(runes) > maxFaultyText {
		runes = append(runes[:maxFaultyText], '…')
	}
	for i, r := range runes {
		if r != '\t' && !unicode.IsPrint(r) {
			runes[i] = '�'
		}
	}
	return string(runes)
}

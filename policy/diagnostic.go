package policy

import (
	"fmt"
	"strings"
)

// Diagnostic is one thing that is wrong in a source, and where.
type Diagnostic struct {
	File    string
	Line    int    // from 1; 0: the file as a whole
	Column  int    // from 1, in characters
	Text    string // the faulty source line, shortened to 200 characters
	Problem string // what is wrong, with the value
	Fix     string // what to do about it
}

// String returns the diagnostic over up to three lines, first of them
// "file:line:column: problem".
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	fmt.Fprintf(&b, ": %s", d.Problem)
	if d.Line > 0 {
		fmt.Fprintf(&b, "\n  %d | %s", d.Line, d.Text)
	}
	if d.Fix != "" {
		fmt.Fprintf(&b, "\n  %s", d.Fix)
	}
	return b.String()
}

// Diagnostics is the error of Parse and Format: everything found wrong, by file
// and line. It is of kind ErrInvalid.
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

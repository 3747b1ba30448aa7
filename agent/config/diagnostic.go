package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// ErrInvalid is the kind of every error that a configuration causes.
var ErrInvalid = errors.New("invalid configuration")

// Diagnostic is one fault of a configuration. It never holds the text of the
// file: that could be a secret.
type Diagnostic struct {
	File    string // empty: the fault is not in a file
	Line    int    // from 1
	Column  int    // from 1, in characters
	Message string // what is wrong and what to do
}

// String returns "file:line:column: message".
func (d Diagnostic) String() string {
	if d.File == "" {
		return d.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message)
}

// Error is every fault found in a configuration; its kind is ErrInvalid.
type Error struct{ Diagnostics []Diagnostic }

// Error returns one fault a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Diagnostics))
	for i, d := range e.Diagnostics {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *Error) Unwrap() error { return ErrInvalid }

func fromHCL(diags hcl.Diagnostics) []Diagnostic {
	var out []Diagnostic
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		message := strings.TrimSuffix(d.Summary, ".")
		if d.Detail != "" {
			message += ": " + d.Detail
		}
		out = append(out, at(d.Subject, strings.ReplaceAll(message, "\n", " ")))
	}
	return out
}

func at(r *hcl.Range, message string) Diagnostic {
	if r == nil || r.Filename == "" {
		return Diagnostic{Message: message}
	}
	return Diagnostic{File: r.Filename, Line: max(r.Start.Line, 1), Column: max(r.Start.Column, 1), Message: message}
}

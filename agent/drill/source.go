package drill

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/tidegate/tidegate/policy"
)

// source is the text of a drill file, for errors that point at a line of it.
type source []byte

// maxFaults bounds how many of HCL's findings are told, and maxLine, in bytes,
// how much of a line at fault is shown.
const (
	maxFaults = 20
	maxLine   = 200
)

func (s source) invalid(at hcl.Range, format string, args ...any) error {
	return policy.Diagnostics{s.diagnostic(at, fmt.Sprintf(format, args...))}
}

func (s source) diagnostic(at hcl.Range, problem string) policy.Diagnostic {
	return policy.Diagnostic{File: at.Filename, Line: at.Start.Line, Column: at.Start.Column, Text: s.line(at.Start.Line), Problem: problem}
}

func (s source) fromHCL(diags hcl.Diagnostics) error {
	var found policy.Diagnostics
	for _, d := range diags {
		var at hcl.Range
		if d.Subject != nil {
			at = *d.Subject
		}
		if len(found) < maxFaults {
			found = append(found, s.diagnostic(at, d.Summary+": "+d.Detail))
		}
	}
	return found
}

// line returns a line of the text, counted from 1, fit for a terminal.
func (s source) line(number int) string {
	lines := bytes.SplitN(s, []byte("\n"), number+1)
	if number < 1 || number > len(lines) {
		return ""
	}
	line := bytes.TrimSpace(lines[number-1])
	return strings.Map(printable, string(line[:min(len(line), maxLine)]))
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// where is the place of an attribute, or of its block when it is not there.
func where(body hcl.Body, block hcl.Range, attribute string) hcl.Range {
	attributes, _ := body.JustAttributes() // blocks among them are no fault
	if a := attributes[attribute]; a != nil {
		return a.Range
	}
	return block
}

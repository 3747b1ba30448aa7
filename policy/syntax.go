package policy

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
)

func isJSON(name string) bool { return strings.HasSuffix(name, ".json") }

// parseSyntax reads one file into an HCL body. What is wrong goes to found, and
// the body is nil then. Both of HCL's parsers recurse, so nesting is bounded
// before they run. literal refuses everything but plain values.
func parseSyntax(f File, literal bool, found *findings) hcl.Body {
	if isJSON(f.Name) {
		return parseJSON(f, found)
	}
	before := found.count
	tokens, _ := hclsyntax.LexConfig(f.Src, f.Name, hcl.InitialPos)
	if checkNesting(tokens, found); found.count > before {
		return nil
	}
	file, diags := hclsyntax.ParseConfig(f.Src, f.Name, hcl.InitialPos)
	if diags.HasErrors() {
		found.addHCL(diags, "")
		return nil
	}
	if literal {
		checkLiteral(tokens, found)
	}
	if found.count > before {
		return nil
	}
	return file.Body
}

func parseJSON(f File, found *findings) hcl.Body {
	if line := deepJSON(f.Src); line > 0 {
		found.add(hcl.Range{Filename: f.Name, Start: hcl.Pos{Line: line, Column: 1}}, "",
			"nested more than %d deep", maxDepth)
		return nil
	}
	file, diags := hcljson.Parse(f.Src, f.Name)
	if diags.HasErrors() {
		found.addHCL(diags, "")
		return nil
	}
	return file.Body
}

// deepJSON returns the line on which brackets nest deeper than maxDepth, or 0.
func deepJSON(src []byte) int {
	line, depth, quoted := 1, 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			line++
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return line
		}
	}
	return 0
}

// checkNesting refuses what would make the parser recurse without bound:
// brackets, and operators whose operand is parsed by recursion.
func checkNesting(tokens hclsyntax.Tokens, found *findings) {
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			depth++
		case hclsyntax.TokenTemplateControl:
			depth++
			operators++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth = max(0, depth-1)
		case hclsyntax.TokenQuestion, hclsyntax.TokenBang, hclsyntax.TokenMinus:
			operators++
		}
		if depth > maxDepth {
			found.add(t.Range, "", "nested more than %d deep", maxDepth)
			return
		}
		if operators > maxOperatorRun {
			found.add(t.Range, "", "more than %d operators in one file", maxOperatorRun)
			return
		}
	}
}

// checkLiteral refuses everything but plain values and ${device.NAME}: a policy
// has no other variables, and no functions, so an expression could only hide a
// mistake (CEL without quotes) or an expensive loop.
func checkLiteral(tokens hclsyntax.Tokens, found *findings) {
	previous := hclsyntax.TokenEOF
	lastLine := 0
	for i := 0; i < len(tokens); i++ {
		if isDeviceReference(tokens[i:]) {
			i += deviceReferenceTokens - 1
			continue
		}
		t := tokens[i]
		problem := notLiteral(t, previous)
		if problem != "" && t.Range.Start.Line != lastLine {
			found.add(t.Range, "write plain values; put CEL conditions in quotes: when = \"...\"", "%s", problem)
			lastLine = t.Range.Start.Line
		}
		if t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenComment {
			previous = t.Type
		}
	}
}

const deviceReferenceTokens = 5

func isDeviceReference(t hclsyntax.Tokens) bool {
	return len(t) >= deviceReferenceTokens &&
		t[0].Type == hclsyntax.TokenTemplateInterp && string(t[0].Bytes) == "${" &&
		t[1].Type == hclsyntax.TokenIdent && string(t[1].Bytes) == "device" &&
		t[2].Type == hclsyntax.TokenDot && t[3].Type == hclsyntax.TokenIdent &&
		t[4].Type == hclsyntax.TokenTemplateSeqEnd && string(t[4].Bytes) == "}"
}

func notLiteral(t hclsyntax.Token, previous hclsyntax.TokenType) string {
	switch t.Type {
	case hclsyntax.TokenOBrack:
		if previous == hclsyntax.TokenCBrack || previous == hclsyntax.TokenCQuote || previous == hclsyntax.TokenIdent ||
			previous == hclsyntax.TokenCBrace || previous == hclsyntax.TokenCHeredoc || previous == hclsyntax.TokenNumberLit {
			return "\"[\": an index is not part of the policy language"
		}
		return ""
	case hclsyntax.TokenOBrace, hclsyntax.TokenCBrace, hclsyntax.TokenCBrack,
		hclsyntax.TokenOQuote, hclsyntax.TokenCQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenCHeredoc,
		hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit, hclsyntax.TokenMinus,
		hclsyntax.TokenEqual, hclsyntax.TokenColon, hclsyntax.TokenComma, hclsyntax.TokenComment,
		hclsyntax.TokenNewline, hclsyntax.TokenEOF:
		return ""
	case hclsyntax.TokenIdent:
		inList := previous == hclsyntax.TokenOBrack || previous == hclsyntax.TokenOBrace
		if inList && string(t.Bytes) == "for" {
			return "\"for\" is not part of the policy language"
		}
		return ""
	case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		return fmt.Sprintf("%q: templates are not part of the policy language; a literal %s is written %s%s",
			t.Bytes, t.Bytes, t.Bytes[:1], t.Bytes)
	}
	return fmt.Sprintf("%q: expressions are not part of the policy language", printable(t.Bytes))
}

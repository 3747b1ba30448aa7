package policy

import (
	"bytes"
	"encoding/json"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format lays out HCL source the canonical way; a name that ends in ".json" is
// indented as JSON. It looks at syntax only, so it fits every HCL file of
// Tidegate. A syntax error, or a source over MaxSource, is returned as
// Diagnostics of kind ErrInvalid.
func Format(name string, src []byte) ([]byte, error) {
	f := File{Name: name, Src: src}
	found := &findings{files: []File{f}}
	if checkSize(found); found.count == 0 {
		parseSyntax(f, false, found)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	if isJSON(name) {
		return indentJSON(src)
	}
	return hclwrite.Format(src), nil
}

func indentJSON(src []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(src), "", "  "); err != nil {
		return nil, Diagnostics{{Problem: "not JSON: " + err.Error()}}
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

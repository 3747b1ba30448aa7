package policy

// Policy is a compiled policy: immutable, safe for concurrent use, swapped
// whole.
type Policy struct{}

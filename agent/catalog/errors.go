package catalog

import "errors"

// The kinds of this package's errors, for errors.Is. Faults in what a person
// configured are of kind policy.ErrInvalid.
var (
	ErrUnavailable = errors.New("catalog source cannot be asked")
	ErrEmpty       = errors.New("catalog source lists no instance of a service that had some")
	ErrFiltered    = errors.New("catalog source withheld instances: the token may not read them")
	ErrCorrupt     = errors.New("last-known-good file is damaged")
	ErrRunning     = errors.New("catalog was already run")
)

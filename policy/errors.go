package policy

import "errors"

// ErrInvalid is the kind of every error that a person's input causes.
var ErrInvalid = errors.New("invalid")

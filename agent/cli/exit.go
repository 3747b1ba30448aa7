package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

const (
	exitGood      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNoVerdict = 3
)

// usageError is a mistake in the command line itself, or in what it names.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported is a failure that was already shown.
var errReported = errors.New("failed")

// errNoVerdict is of a drill that had nothing to judge, and said so.
var errNoVerdict = errors.New("no verdict")

// report shows an error once and says how the process ends. A command that
// could not start because of its configuration was used wrongly; a validate
// that found faults has failed.
func report(err error, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil:
		return exitGood
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errNoVerdict):
		return exitNoVerdict
	case errors.Is(err, config.ErrInvalid), errors.Is(err, policy.ErrInvalid):
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "tidegate:", err)
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// fault says why a service's last answer cannot be relied on. The zero fault
// is none.
type fault struct {
	kind  error // ErrUnavailable, ErrEmpty or ErrFiltered; nil: no fault
	cause error // what the source said, if anything
}

var errNotAnswered = errors.New("no answer yet")

const namedServices = 5

// faultsOf makes one error of the faults of many services: a line a kind, with
// the first services by name and the first cause.
func faultsOf(faults map[string]fault) error {
	var lines []error
	for _, kind := range []error{ErrUnavailable, ErrFiltered, ErrEmpty} {
		if line := faultLine(kind, faults); line != nil {
			lines = append(lines, line)
		}
	}
	return errors.Join(lines...)
}

func faultLine(kind error, faults map[string]fault) error {
	var names []string
	for name, f := range faults {
		if f.kind == kind {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	if cause := faults[names[0]].cause; cause != nil {
		return fmt.Errorf("%w: %s: %w", kind, listed(names), cause)
	}
	return fmt.Errorf("%w: %s", kind, listed(names))
}

func listed(names []string) string {
	if more := len(names) - namedServices; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedServices], ", "), more)
	}
	return strings.Join(names, ", ")
}

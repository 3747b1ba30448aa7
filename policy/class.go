// Package policy holds Tidegate's decisions: which route a message takes, which
// region and instance serve it, which regions live. It is pure: no I/O, no
// goroutines, and time is always passed in.
package policy

import (
	"fmt"
	"strings"
)

// Class is the priority of a message, set by its route and never trusted from
// a device. Higher is more important; the zero value is Bulk.
type Class uint8

// The classes, least important first.
const (
	Bulk Class = iota
	Normal
	High
	Critical
)

// Classes lists every class, least important first.
func Classes() []Class { return []Class{Bulk, Normal, High, Critical} }

// String returns the class as written in a policy.
func (c Class) String() string {
	switch c {
	case Bulk:
		return "bulk"
	case Normal:
		return "normal"
	case High:
		return "high"
	case Critical:
		return "critical"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass reads a class as written in a policy or a mesh header. An unknown
// name is an error of kind ErrInvalid.
func ParseClass(name string) (Class, error) {
	for _, c := range Classes() {
		if strings.EqualFold(name, c.String()) {
			return c, nil
		}
	}
	return Bulk, fmt.Errorf("%w: unknown class %q: use bulk, normal, high or critical", ErrInvalid, name)
}

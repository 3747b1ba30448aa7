package policy

import (
	"fmt"
	"time"
)

// OverrideKind says what an operator ordered for a region.
type OverrideKind uint8

// The kinds of override.
const (
	// Evacuate: no region gives it new traffic, its own edges included, unless
	// nothing else is left.
	Evacuate OverrideKind = iota + 1
	// Pin: it serves its own demand; it neither spills nor takes spill, that of
	// regions which cannot serve at all excepted.
	Pin
	// Freeze: the shares of its demand stay as they are; what is dead is left
	// all the same.
	Freeze
)

// String returns the kind as written on the command line; "none" for the zero
// value.
func (k OverrideKind) String() string {
	switch k {
	case 0:
		return "none"
	case Evacuate:
		return "evacuate"
	case Pin:
		return "pin"
	case Freeze:
		return "freeze"
	}
	return fmt.Sprintf("override(%d)", uint8(k))
}

// ParseOverrideKind reads a kind as written on the command line. An unknown
// name is an error of kind ErrInvalid.
func ParseOverrideKind(name string) (OverrideKind, error) {
	for _, k := range []OverrideKind{Evacuate, Pin, Freeze} {
		if name == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown override %q: use evacuate, pin or freeze", ErrInvalid, name)
}

// Override is an operator's word on a region.
type Override struct {
	Region  string
	Kind    OverrideKind
	Reason  string    // why, for people
	By      string    // who gave it
	Expires time.Time // zero: until released
}

// override returns the kind in force for a region when the view was built, 0
// when there is none.
func (v *View) override(region string) OverrideKind {
	o, ok := v.Overrides[region]
	if !ok || !o.Expires.IsZero() && !v.Built.Before(o.Expires) {
		return 0
	}
	return o.Kind
}

// describe says what was ordered, by whom and why.
func (o Override) describe() string {
	text := o.Kind.String()
	if o.By != "" {
		text += " by " + o.By
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

package gossip

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kinds of an operator's word, as in Override.Kind.
const (
	OverrideEvacuate = "evacuate"
	OverridePin      = "pin"
	OverrideFreeze   = "freeze"
	OverrideRelease  = "release" // ends what was said before
)

// Limits on operators' words.
const (
	MaxOverrides    = 256                  // regions under one, released ones included
	MaxReason       = 800                  // bytes, UTF-8
	MaxOverrideLeft = 366 * 24 * time.Hour // longest expiry

	maxOverrideVersion = 1 << 40 // no operator speaks that often
)

// Override is an operator's word on a region, for the whole mesh. For each
// region the newest counts: the one with the highest Version, of equal ones that
// of the agent whose name is last.
type Override struct {
	Region string
	Kind   string // one of the constants above; in a State also "kind-N", which a newer agent knows
	Reason string // for people; ≤ MaxReason bytes
	// Left is how long it holds, in whole milliseconds; 0: until released. In a
	// State it is what was left when that was made.
	Left time.Duration

	// What follows is set by the mesh.
	By      string    // the agent that took it
	Version uint64    // a Lamport clock: one more than the highest its agent had seen
	Expires time.Time // by this agent's clock; zero: until released
}

func (o *Override) newer(than *Override) bool {
	return cmp.Or(cmp.Compare(o.Version, than.Version), cmp.Compare(o.By, than.By)) > 0
}

// check is for words given here: kinds of a newer agent are only passed on.
func (o *Override) check() error {
	if !slices.Contains(overrideKinds[1:], o.Kind) {
		return fmt.Errorf("%w: override of region %s: unknown kind %q: use evacuate, pin, freeze or release", ErrFrame, o.Region, o.Kind)
	}
	return o.checkHeard()
}

func (o *Override) checkHeard() error {
	if err := checkName("region", o.Region, MaxRegionName); err != nil {
		return fmt.Errorf("%w: override: %w", ErrFrame, err)
	}
	switch {
	case overrideCode(o.Kind) == 0:
		return fmt.Errorf("%w: override of region %s without a kind", ErrFrame, o.Region)
	case o.Left < 0 || o.Left > MaxOverrideLeft:
		return fmt.Errorf("%w: override of region %s for %s: use 0 (until released) to %s", ErrFrame, o.Region, o.Left, MaxOverrideLeft)
	case len(o.Reason) > MaxReason || !readable(o.Reason):
		return fmt.Errorf("%w: override of region %s: the reason must be at most %d bytes of UTF-8 without control characters", ErrFrame, o.Region, MaxReason)
	}
	return nil
}

func readable(text string) bool {
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return utf8.ValidString(text)
}

var overrideKinds = [...]string{"", OverrideEvacuate, OverridePin, OverrideFreeze, OverrideRelease}

const (
	newerKind       = "kind-"
	maxOverrideCode = 255
)

// overrideCode is the kind on the wire; 0: none.
func overrideCode(kind string) uint64 {
	for code, name := range overrideKinds {
		if kind == name {
			return uint64(code)
		}
	}
	text, newer := strings.CutPrefix(kind, newerKind)
	code, err := strconv.ParseUint(text, 10, 8)
	if !newer || err != nil {
		return 0
	}
	return code
}

func overrideKindOf(code uint64) string {
	switch {
	case code < uint64(len(overrideKinds)):
		return overrideKinds[code]
	case code <= maxOverrideCode:
		return newerKind + strconv.FormatUint(code, 10)
	}
	return ""
}

const (
	overrideRegion  protowire.Number = 1
	overrideKind    protowire.Number = 2
	overrideReason  protowire.Number = 3
	overrideLeft    protowire.Number = 4 // milliseconds
	overrideBy      protowire.Number = 5
	overrideHome    protowire.Number = 6 // region of that agent
	overrideVersion protowire.Number = 7
)

// overrideFrame is an operator's word as its agent signed it.
type overrideFrame struct {
	Override
	Home string
}

func (o *overrideFrame) encode() []byte {
	b := appendText(make([]byte, 0, 256), overrideRegion, o.Region)
	b = appendUint(b, overrideKind, overrideCode(o.Kind))
	b = appendText(b, overrideReason, o.Reason)
	b = appendUint(b, overrideLeft, uint64(o.Left.Milliseconds()))
	b = appendText(b, overrideBy, o.By)
	b = appendText(b, overrideHome, o.Home)
	return appendUint(b, overrideVersion, o.Version)
}

func decodeOverride(payload []byte) (*overrideFrame, error) {
	var o overrideFrame
	if err := eachField(payload, o.take); err != nil {
		return nil, fmt.Errorf("override: %w", err)
	}
	if err := o.checkHeard(); err != nil {
		return nil, err
	}
	if o.By == "" || o.Home == "" {
		return nil, fmt.Errorf("%w: override of region %s without an origin", ErrFrame, o.Region)
	}
	if o.Version == 0 || o.Version > maxOverrideVersion {
		return nil, refuse(dropAbsurd, ErrFrame, "override of region %s: version %d is out of range", o.Region, o.Version)
	}
	return &o, nil
}

func (o *overrideFrame) take(f field) (err error) {
	switch {
	case f.is(overrideRegion, protowire.BytesType):
		o.Region, err = f.name("region", MaxRegionName)
	case f.is(overrideKind, protowire.VarintType):
		o.Kind = overrideKindOf(f.n)
	case f.is(overrideReason, protowire.BytesType):
		o.Reason = string(f.b)
	case f.is(overrideLeft, protowire.VarintType):
		o.Left = time.Duration(min(f.n, uint64(2*MaxOverrideLeft.Milliseconds()))) * time.Millisecond
	case f.is(overrideBy, protowire.BytesType):
		o.By, err = f.name("agent", MaxAgentName)
	case f.is(overrideHome, protowire.BytesType):
		o.Home, err = f.name("region", MaxRegionName)
	case f.is(overrideVersion, protowire.VarintType):
		o.Version = f.n
	}
	return err
}

package admin

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/policy"
)

// ActionRelease ends an operator's word on a region; the other actions are the
// kinds of policy.Override.
const ActionRelease = "release"

const (
	maxReason      = 200                 // characters
	maxOverrideFor = 30 * 24 * time.Hour // longest expiry
)

// OverrideRequest is an operator's word on a region, for the whole mesh.
type OverrideRequest struct {
	Action     string  `json:"action"` // evacuate, pin, freeze, release
	Region     string  `json:"region"`
	Reason     string  `json:"reason,omitempty"`      // for people, at most 200 characters
	ForSeconds float64 `json:"for_seconds,omitempty"` // 0: until released
}

// OverrideAnswer is what this agent told the mesh.
type OverrideAnswer struct {
	Agent    string    `json:"agent"`
	Region   string    `json:"region"`
	Override *Override `json:"override,omitempty"` // none after a release
}

// Override is an operator's word in force.
type Override struct {
	Kind        string   `json:"kind"` // evacuate, pin, freeze
	Reason      string   `json:"reason,omitempty"`
	By          string   `json:"by,omitempty"`           // the agent that took it
	LeftSeconds *float64 `json:"left_seconds,omitempty"` // nil: until released
}

// Check says what is wrong with a request in itself; whether there is such a
// region only the mesh knows. Errors are of kind policy.ErrInvalid.
func (r *OverrideRequest) Check() error {
	if r.Action != ActionRelease {
		if _, err := policy.ParseOverrideKind(r.Action); err != nil {
			return fmt.Errorf("%w: action %q: use evacuate, pin, freeze or release", policy.ErrInvalid, r.Action)
		}
	}
	span := r.For()
	switch {
	case r.Region == "":
		return fmt.Errorf("%w: %s: say which region", policy.ErrInvalid, r.Action)
	case r.Action == ActionRelease && (r.ForSeconds != 0 || r.Reason != ""):
		return fmt.Errorf("%w: a release takes neither a reason nor a time", policy.ErrInvalid)
	case !utf8.ValidString(r.Reason) || utf8.RuneCountInString(r.Reason) > maxReason:
		return fmt.Errorf("%w: a reason of %d characters: use at most %d, in UTF-8", policy.ErrInvalid, utf8.RuneCountInString(r.Reason), maxReason)
	case !(r.ForSeconds >= 0 && r.ForSeconds <= maxOverrideFor.Seconds()) || r.ForSeconds > 0 && span < time.Second:
		return fmt.Errorf("%w: %s for %g seconds: use 1 s to %s, or 0 for until released", policy.ErrInvalid, r.Action, r.ForSeconds, maxOverrideFor)
	}
	return nil
}

// For is how long the word is to hold; 0: until released.
func (r *OverrideRequest) For() time.Duration {
	return time.Duration(r.ForSeconds * float64(time.Second))
}

// String is the request in words.
func (r *OverrideRequest) String() string {
	text := r.Action + " region " + r.Region
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

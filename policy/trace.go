package policy

import "fmt"

// Step is one consideration of a decision: who was looked at, whether it was
// taken, and why.
type Step struct {
	Stage   string `json:"stage"`   // route, split, region, instance
	Subject string `json:"subject"` // the route, service, region or instance looked at
	Taken   bool   `json:"taken"`
	Reason  string `json:"reason"`
}

// Trace collects the steps of a decision for `tidegate explain`. A nil *Trace
// records nothing and costs nothing, so that the code that decides is the code
// that explains. Not safe for concurrent use.
type Trace struct {
	Steps []Step `json:"steps"`
}

// Take records that the subject was chosen.
func (t *Trace) Take(stage, subject, reason string, args ...any) {
	t.add(stage, subject, true, reason, args)
}

// Pass records that the subject was passed over.
func (t *Trace) Pass(stage, subject, reason string, args ...any) {
	t.add(stage, subject, false, reason, args)
}

func (t *Trace) add(stage, subject string, taken bool, reason string, args []any) {
	if t == nil {
		return
	}
	if len(args) > 0 {
		reason = fmt.Sprintf(reason, args...)
	}
	t.Steps = append(t.Steps, Step{stage, subject, taken, reason})
}

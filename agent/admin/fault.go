package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
)

const (
	maxFaultSeconds = 3600
	maxFaultID      = 128 // bytes
	maxFaultDelay   = 10 * time.Second
	maxFaultTakes   = time.Minute
	maxFaultOver    = 10 * time.Minute
	maxFaultShare   = 1000 // percent
)

// faultNeeds are the fields of each kind, in the order they are asked for.
var faultNeeds = map[string][]string{
	FaultRegionOutage:    {"region"},
	FaultAgentCrash:      {"agent"},
	FaultInstanceFailure: {"region", "service"},
	FaultLatency:         {"from", "to", "delay"},
	FaultSlowService:     {"region", "service", "takes"},
	FaultCapacity:        {"region", "share"},
	FaultDrill:           {},
}

// faultMay are the fields that a kind does without.
var faultMay = map[string][]string{FaultCapacity: {"service", "over"}}

func (f *Fault) fields() [][2]string {
	return [][2]string{{"region", f.Region}, {"agent", f.Agent}, {"service", f.Service},
		{"from", f.From}, {"to", f.To}, {"delay", f.Delay}, {"takes", f.Takes}, {"share", f.Share}, {"over", f.Over}}
}

// Check says what is wrong with a fault in itself; whether its region, agent
// or service exists only the mesh knows. Errors are of kind policy.ErrInvalid.
func (f *Fault) Check() error {
	if f.ID == "" || len(f.ID) > maxFaultID {
		return fmt.Errorf("%w: fault id of %d characters: use 1 to %d", policy.ErrInvalid, len(f.ID), maxFaultID)
	}
	if !(f.Seconds > 0 && f.Seconds <= maxFaultSeconds) {
		return fmt.Errorf("%w: fault %q lasts %g seconds: say for how long, more than 0 and at most %d",
			policy.ErrInvalid, f.ID, f.Seconds, maxFaultSeconds)
	}
	return f.CheckCondition()
}

// CheckCondition is Check without ID and Seconds.
func (f *Fault) CheckCondition() error {
	needs, known := faultNeeds[f.Kind]
	if !known {
		return fmt.Errorf("%w: there is no fault %q", policy.ErrInvalid, f.Kind)
	}
	for _, field := range f.fields() {
		name, value := field[0], field[1]
		switch needed := slices.Contains(needs, name); {
		case needed && value == "":
			return fmt.Errorf("%w: fault %s needs %s", policy.ErrInvalid, f.Kind, name)
		case !needed && value != "" && !slices.Contains(faultMay[f.Kind], name):
			return fmt.Errorf("%w: fault %s takes no %s", policy.ErrInvalid, f.Kind, name)
		}
	}
	if f.Kind == FaultLatency && f.From == f.To {
		return fmt.Errorf("%w: fault latency from %s to itself: name two regions", policy.ErrInvalid, f.From)
	}
	if err := checkSpan("delay", f.Delay, maxFaultDelay); err != nil {
		return err
	}
	if err := checkSpan("takes", f.Takes, maxFaultTakes); err != nil {
		return err
	}
	if _, err := parseShare(f.Share); f.Share != "" && err != nil {
		return err
	}
	return checkSpan("over", f.Over, maxFaultOver)
}

func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || !(share >= 0 && share <= maxFaultShare) {
		return 0, fmt.Errorf("%w: share %q: write what is left, \"0%%\" to \"%d%%\"", policy.ErrInvalid, text, maxFaultShare)
	}
	return share / 100, nil
}

// Capacity is what a capacity fault leaves, 1 for all of it, and in which time
// it goes there; 1 for others and for what Check refuses.
func (f *Fault) Capacity() (share float64, over time.Duration) {
	share, err := parseShare(f.Share)
	if err != nil {
		return 1, 0
	}
	over, _ = time.ParseDuration(f.Over) // empty: at once
	return share, over
}

func checkSpan(what, text string, most time.Duration) error {
	if text == "" {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d < 0 || d > most {
		return fmt.Errorf("%w: %s %q: write a duration from 0s to %s", policy.ErrInvalid, what, text, most)
	}
	return nil
}

// Span is the delay of a latency fault, the time an answer takes in a
// slow_service one; 0 for others and for what Check refuses.
func (f *Fault) Span() time.Duration {
	d, err := time.ParseDuration(f.Delay + f.Takes)
	if err != nil {
		return 0
	}
	return d
}

// Clashes says that two faults are the same condition in the same place, so
// that the end of one would end the other.
func (f *Fault) Clashes(other *Fault) bool {
	a, b := f.condition(), other.condition()
	if f.Kind == FaultCapacity && (a.Service == "" || b.Service == "") {
		a.Service, b.Service = "", ""
	}
	return a == b
}

// condition is the fault without its name and its size.
func (f *Fault) condition() Fault {
	return Fault{Kind: f.Kind, Region: f.Region, Agent: f.Agent, Service: f.Service, From: f.From, To: f.To}
}

// String is the condition in words.
func (f *Fault) String() string {
	switch f.Kind {
	case FaultRegionOutage:
		return "region " + f.Region + " cut off"
	case FaultAgentCrash:
		return "agent " + f.Agent + " crashed"
	case FaultInstanceFailure:
		return f.Service + " fails in " + f.Region
	case FaultLatency:
		return f.Delay + " more between " + f.From + " and " + f.To
	case FaultSlowService:
		return f.Service + " takes " + f.Takes + " in " + f.Region
	case FaultCapacity:
		text := cmp.Or(f.Service, "every service") + " has " + f.Share + " of its capacity in " + f.Region
		if f.Over != "" {
			text += ", in " + f.Over
		}
		return text
	case FaultDrill:
		return "a drill is under way"
	}
	return f.Kind
}

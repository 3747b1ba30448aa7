package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Event is one fault with its beginning and its end: dropping it from a schedule
// drops both.
type Event struct {
	At    time.Duration // since the start
	For   time.Duration
	Fault string
	On    []string // what the fault needs: a region, two of them, an agent and so on
	How   []string // words for the network, as wan.Profile.Set takes them
}

// The faults, and what they need.
const (
	Isolate      = "isolate"       // REGION from all others and from devices
	KillRegion   = "kill-region"   // REGION: SIGKILL to all that runs there; started again at the end
	Cut          = "cut"           // REGION REGION
	OneWay       = "one-way"       // REGION REGION: what the first sends to the second is lost
	Degrade      = "degrade"       // REGION REGION WORD...
	KillAgent    = "kill-agent"    // AGENT: SIGKILL; started again at the end
	RestartAgent = "restart-agent" // AGENT: SIGTERM; started again at the end
	PauseAgent   = "pause-agent"   // AGENT: SIGSTOP
	DrainAgent   = "drain-agent"   // AGENT
	KillLead     = "kill-lead"     // REGION: of the agent that leads it then
	PauseLead    = "pause-lead"    // REGION
	KillConsul   = "kill-consul"   // REGION or all
	PauseConsul  = "pause-consul"  // REGION
	KillServices = "kill-services" // REGION: SIGKILL; started again at the end
	SlowServices = "slow-services" // REGION
	BadPolicy    = "bad-policy"    // REGION: into its datacenter's store, past the check; a good one at the end
	NewPolicy    = "new-policy"    // everywhere, as an operator does; the one before at the end
)

// All stands for all regions.
const All = "all"

// End of the fault.
func (e *Event) End() time.Duration { return e.At + e.For }

// String is the event as a line of a schedule, which Parse reads.
func (e *Event) String() string {
	return fmt.Sprintf("%s for %s %s", e.At, e.For, e.What())
}

// What is broken, without times.
func (e *Event) What() string {
	return strings.Join(slices.Concat([]string{e.Fault}, e.On, e.How), " ")
}

// ErrInvalid is the kind of errors about schedules that make no sense.
var ErrInvalid = errors.New("invalid schedule")

// ParseEvent reads "TIME for TIME FAULT WORD...". Errors are of kind ErrInvalid.
func ParseEvent(m *Mesh, line string) (e Event, err error) {
	words := strings.Fields(line)
	if len(words) < 4 || words[1] != "for" {
		return e, fmt.Errorf("%w: %q: write a time, for, a time, and a fault, as '10s for 8s isolate eu-2'", ErrInvalid, line)
	}
	if e.At, err = time.ParseDuration(words[0]); err != nil || e.At < 0 {
		return e, fmt.Errorf("%w: %q: %q is no time", ErrInvalid, line, words[0])
	}
	if e.For, err = time.ParseDuration(words[2]); err != nil || e.For <= 0 {
		return e, fmt.Errorf("%w: %q: %q is no time above 0", ErrInvalid, line, words[2])
	}
	k := kindOf(words[3])
	if k == nil {
		return e, fmt.Errorf("%w: %q: there is no fault %q; there are %s", ErrInvalid, line, words[3], strings.Join(faults(), ", "))
	}
	e.Fault = k.fault
	rest := words[4:]
	n := min(len(rest), k.needs.count())
	if n > 0 {
		e.On = rest[:n:n]
	}
	if len(rest) > n {
		e.How = rest[n:]
	}
	if err := k.needs.check(m, &e); err != nil {
		return e, fmt.Errorf("%w: %q: %w", ErrInvalid, line, err)
	}
	return e, nil
}

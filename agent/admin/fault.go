package admin

import (
	"cmp"
	"fmt"
	"maps"
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
	maxFaultJump    = 24 * time.Hour
)

// faultNeeds are the fields of each kind, in the order they are asked for.
var faultNeeds = map[string][]string{
	FaultRegionOutage:    {"region"},
	FaultAgentCrash:      {"agent"},
	FaultInstanceFailure: {"region", "service"},
	FaultServiceFault:    {"region", "service"},
	FaultLatency:         {"from", "to", "delay"},
	FaultLoss:            {"from", "to", "share"},
	FaultCut:             {"from", "to"},
	FaultCatalogDown:     {"region"},
	FaultClockJump:       {"agent", "by"},
	FaultSlowService:     {"region", "service", "takes"},
	FaultCapacity:        {"region", "share"},
	FaultDrill:           {},
}

// faultMay are the fields that a kind does without.
var faultMay = map[string][]string{
	FaultCapacity:     {"service", "over"},
	FaultLatency:      {"one_way", "jitter"},
	FaultLoss:         {"one_way"},
	FaultCut:          {"one_way"},
	FaultServiceFault: {"share", "status", "delay", "class", "devices"},
}

func (f *Fault) fields() [][2]string {
	return [][2]string{{"region", f.Region}, {"agent", f.Agent}, {"service", f.Service},
		{"from", f.From}, {"to", f.To}, {"one_way", unless(f.OneWay, false)}, {"delay", f.Delay}, {"jitter", f.Jitter}, {"takes", f.Takes},
		{"share", f.Share}, {"over", f.Over}, {"status", unless(f.Status, 0)}, {"class", f.Class}, {"devices", f.Devices}, {"by", f.By}}
}

func unless[T comparable](value, unset T) string {
	if value == unset {
		return ""
	}
	return fmt.Sprint(value)
}

// FaultKinds lists the kinds with the fields they need and [may have], a line each.
func FaultKinds(indent string) string {
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(faultNeeds)) {
		if kind == FaultDrill {
			continue // for drills alone
		}
		fmt.Fprintf(&text, "%s%-16s %s", indent, kind, strings.Join(faultNeeds[kind], " "))
		for _, may := range faultMay[kind] {
			fmt.Fprintf(&text, " [%s]", may)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// Set gives a field its value, by the name it has in JSON.
func (f *Fault) Set(field, value string) (err error) {
	switch field {
	case "one_way":
		f.OneWay, err = strconv.ParseBool(value)
	case "status":
		f.Status, err = strconv.Atoi(value)
	default:
		into := map[string]*string{"region": &f.Region, "agent": &f.Agent, "service": &f.Service, "from": &f.From, "to": &f.To, "delay": &f.Delay,
			"jitter": &f.Jitter, "takes": &f.Takes, "share": &f.Share, "over": &f.Over, "class": &f.Class, "devices": &f.Devices, "by": &f.By}[field]
		if into == nil {
			return fmt.Errorf("%w: a fault has no field %q", policy.ErrInvalid, field)
		}
		*into = value
	}
	if err != nil {
		return fmt.Errorf("%w: %s=%s: %w", policy.ErrInvalid, field, value, err)
	}
	return nil
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
	if f.From != "" && f.From == f.To {
		return fmt.Errorf("%w: fault %s from %s to itself: name two regions", policy.ErrInvalid, f.Kind, f.From)
	}
	for _, span := range []struct {
		what, text string
		most       time.Duration
	}{{"delay", f.Delay, maxFaultDelay}, {"jitter", f.Jitter, maxFaultDelay}, {"takes", f.Takes, maxFaultTakes}, {"over", f.Over, maxFaultOver}} {
		if err := checkSpan(span.what, span.text, span.most); err != nil {
			return err
		}
	}
	if err := f.checkShares(); err != nil {
		return err
	}
	return f.checkRest()
}

func (f *Fault) checkShares() error {
	most := 100
	if f.Kind == FaultCapacity {
		most = maxFaultShare
	}
	if _, err := parseShare("share", f.Share, most); f.Share != "" && err != nil {
		return err
	}
	_, err := parseShare("devices", f.Devices, 100)
	if f.Devices == "" {
		return nil
	}
	return err
}

// checkRest is about what single kinds have.
func (f *Fault) checkRest() error {
	if f.Class != "" {
		if _, err := policy.ParseClass(f.Class); err != nil {
			return fmt.Errorf("%w: %w", policy.ErrInvalid, err)
		}
	}
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		return fmt.Errorf("%w: status %d: use 400 to 599", policy.ErrInvalid, f.Status)
	}
	if f.Kind == FaultServiceFault && f.Status == 0 && f.Delay == "" {
		return fmt.Errorf("%w: fault service_fault needs status, delay or both", policy.ErrInvalid)
	}
	if by, err := time.ParseDuration(f.By); f.By != "" && (err != nil || by.Abs() > maxFaultJump) {
		return fmt.Errorf("%w: by %q: write a duration from -%[3]s to %[3]s", policy.ErrInvalid, f.By, maxFaultJump)
	}
	return nil
}

func parseShare(what, text string, most int) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || !(share >= 0 && share <= float64(most)) {
		return 0, fmt.Errorf("%w: %s %q: write \"0%%\" to \"%d%%\"", policy.ErrInvalid, what, text, most)
	}
	return share / 100, nil
}

// ShareOf is the share of packets or requests that is meant, 0 to 1; 1 where none
// is named.
func (f *Fault) ShareOf() float64 { return shareOr1(f.Share) }

// DevicesOf is the share of devices that is meant, 0 to 1; 1 where none is named.
func (f *Fault) DevicesOf() float64 { return shareOr1(f.Devices) }

func shareOr1(text string) float64 {
	share, err := parseShare("", text, 100)
	if err != nil {
		return 1
	}
	return share
}

// Capacity is what a capacity fault leaves, 1 for all of it, and in which time
// it goes there; 1 for others and for what Check refuses.
func (f *Fault) Capacity() (share float64, over time.Duration) {
	share, err := parseShare("share", f.Share, maxFaultShare)
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
	c := Fault{Kind: f.Kind, Region: f.Region, Agent: f.Agent, Service: f.Service, From: f.From, To: f.To, OneWay: f.OneWay, Class: f.Class}
	if !f.OneWay && c.From > c.To {
		c.From, c.To = c.To, c.From
	}
	return c
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
		return f.Delay + " more " + f.between()
	case FaultLoss:
		return f.Share + " of packets lost " + f.between()
	case FaultCut:
		return "nothing gets through " + f.between()
	case FaultServiceFault:
		return f.serviceFault()
	case FaultCatalogDown:
		return "agents in " + f.Region + " cannot reach their catalog"
	case FaultClockJump:
		return "the clock of " + f.Agent + " is off by " + f.By
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

func (f *Fault) between() string {
	if f.OneWay {
		return "from " + f.From + " to " + f.To
	}
	return "between " + f.From + " and " + f.To
}

func (f *Fault) serviceFault() string {
	text := f.Service + " in " + f.Region
	if f.Status != 0 {
		text += fmt.Sprintf(" answers %d", f.Status)
	}
	if f.Delay != "" {
		text += " " + f.Delay + " later"
	}
	if f.Share != "" {
		text += ", " + f.Share + " of the time"
	}
	if f.Class != "" {
		text += ", to class " + f.Class
	}
	if f.Devices != "" {
		text += ", to " + f.Devices + " of devices"
	}
	return text
}

package drill

import (
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

const (
	maxDuration = time.Hour
	maxRate     = 100000
)

func (b drillBlock) check() (*Drill, error) {
	d := &Drill{Name: b.Name, Hypothesis: b.Hypothesis, Load: b.Load}
	if b.Mesh != nil {
		d.Mesh = *b.Mesh
	}
	var err error
	if d.Duration, err = duration("duration", b.Duration, maxDuration); err != nil {
		return nil, err
	}
	if err := d.Load.check(); err != nil {
		return nil, err
	}
	for _, sb := range b.Steps {
		step, err := sb.check(d.Duration)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", sb.Name, err)
		}
		if d.moment(step.Name) != nil {
			return nil, fmt.Errorf("%w: two steps are called %q", ErrInvalid, step.Name)
		}
		d.Steps = append(d.Steps, step)
	}
	for _, ib := range b.Invariants {
		inv, err := ib.check(d)
		if err != nil {
			return nil, fmt.Errorf("invariant %q: %w", ib.Name, err)
		}
		d.Invariants = append(d.Invariants, inv)
	}
	if len(d.Invariants) == 0 {
		return nil, fmt.Errorf("%w: no invariant: a drill must say what should hold", ErrInvalid)
	}
	return d, nil
}

func duration(what, text string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, fmt.Errorf("%w: %s %q: write a duration from 0s to %s, like \"10s\"", ErrInvalid, what, text, most)
	}
	return d, nil
}

func (l *Load) check() error {
	if !(l.Rate > 0 && l.Rate <= maxRate) || l.Devices < 1 || l.Devices > 10000 {
		return fmt.Errorf("%w: load: rate %g and %d devices: use more than 0 and at most %d a second, 1 to 10000 devices",
			ErrInvalid, l.Rate, l.Devices, maxRate)
	}
	total := 0
	for _, k := range l.Kinds {
		class, err := policy.ParseClass(k.Class)
		if err != nil {
			return fmt.Errorf("kind %q: %w", k.Name, err)
		}
		if k.Weight < 0 || k.Weight > 1000 || k.Body < 0 || k.Body > 1<<20 || len(k.Path) == 0 || k.Path[0] != '/' {
			return fmt.Errorf("%w: kind %q: weight 0 to 1000, body 0 to 1048576 bytes, path beginning with \"/\"", ErrInvalid, k.Name)
		}
		total += k.Weight
		method := k.Method
		if method == "" {
			method = "POST"
		}
		l.kinds = append(l.kinds, load.Kind{Name: k.Name, Class: class, Method: method, Path: k.Path, Body: k.Body, Weight: k.Weight})
	}
	if total == 0 {
		return fmt.Errorf("%w: load: no kind of message has a weight", ErrInvalid)
	}
	return nil
}

func (b stepBlock) check(most time.Duration) (Step, error) {
	s := Step{Name: b.Name}
	var err error
	if s.At, err = duration("at", b.At, most); err != nil {
		return s, err
	}
	if b.For != "" {
		if s.For, err = duration("for", b.For, most-s.At); err != nil {
			return s, err
		}
	}
	s.Fault, err = b.fault()
	return s, err
}

// fault returns the one fault of a step.
func (b stepBlock) fault() (Fault, error) {
	var all []Fault
	if b.RegionOutage != nil {
		all = append(all, b.RegionOutage)
	}
	if b.AgentCrash != nil {
		all = append(all, b.AgentCrash)
	}
	if b.InstanceFailure != nil {
		all = append(all, b.InstanceFailure)
	}
	if b.Latency != nil {
		all = append(all, b.Latency)
	}
	if b.SlowService != nil {
		all = append(all, b.SlowService)
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("%w: %d faults: a step has exactly one", ErrInvalid, len(all))
	}
	return all[0], all[0].check()
}

// moment finds a point of the time line: a step's name, or its name and ".end".
func (d *Drill) moment(name string) *time.Duration {
	for _, s := range d.Steps {
		at := s.At
		switch name {
		case s.Name:
			return &at
		case s.Name + ".end":
			if at += s.For; s.For > 0 {
				return &at
			}
		}
	}
	return nil
}

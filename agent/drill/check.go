package drill

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

const (
	minDuration = time.Second
	maxDuration = 50 * time.Minute // shorter than a fault may last
	maxRate     = 100000           // requests a second
	maxRequests = 5_000_000        // all are kept until the verdict
	maxDevices  = 10000
)

// checker makes a drill of the blocks of a file.
type checker struct {
	source
	*Drill
}

func (c checker) check(b *drillBlock) (*Drill, error) {
	c.Name, c.Hypothesis = b.Name, b.Hypothesis
	var err error
	if c.Duration, err = parseDuration(b.Duration, minDuration, maxDuration); err != nil {
		return nil, c.invalid(where(b.Body, b.Place, "duration"), "duration %v", err)
	}
	if err := c.meshOf(b.Mesh); err != nil {
		return nil, err
	}
	if err := c.loadOf(&b.Load); err != nil {
		return nil, err
	}
	for n := range b.Steps {
		if err := c.addStep(&b.Steps[n]); err != nil {
			return nil, err
		}
	}
	for n := range b.Invariants {
		if err := c.addInvariant(&b.Invariants[n]); err != nil {
			return nil, err
		}
	}
	if len(c.Invariants) == 0 {
		return nil, c.invalid(b.Place, "no invariant: a drill must say what should hold")
	}
	return c.Drill, nil
}

func parseDuration(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: write a duration from %s to %s, like \"10s\"", text, least, most)
	}
	return d, nil
}

func (c checker) meshOf(b *meshBlock) error {
	if b == nil {
		return nil
	}
	c.policy = b.Policy
	c.mesh = dev.Config{Regions: b.Regions, Agents: b.Agents}
	for _, s := range b.Services {
		c.mesh.Services = append(c.mesh.Services, dev.Service{Name: s.Name, Regions: s.Regions, Instances: s.Instances})
	}
	if err := c.mesh.Check(); err != nil {
		return c.invalid(b.Place, "%v", err)
	}
	return nil
}

func (c checker) loadOf(b *loadBlock) error {
	if !(b.Rate > 0 && b.Rate <= maxRate) || b.Rate*c.Duration.Seconds() > maxRequests {
		return c.invalid(where(b.Body, b.Place, "rate"), "rate %g: use more than 0 and at most %d a second, %d requests in all", b.Rate, maxRate, maxRequests)
	}
	if b.Devices < 1 || b.Devices > maxDevices {
		return c.invalid(where(b.Body, b.Place, "devices"), "%d devices: use 1 to %d", b.Devices, maxDevices)
	}
	c.Load = load.Config{Rate: b.Rate, Devices: b.Devices, Duration: c.Duration}
	total := 0
	for n := range b.Kinds {
		if err := c.addKind(&b.Kinds[n]); err != nil {
			return err
		}
		total += b.Kinds[n].Weight
	}
	if total == 0 {
		return c.invalid(b.Place, "no kind of message has a weight")
	}
	return nil
}

func (c checker) addKind(b *kindBlock) error {
	class, err := policy.ParseClass(b.Class)
	if err != nil {
		return c.invalid(b.Place, "kind %q: %v", b.Name, err)
	}
	switch {
	case c.hasKind(b.Name):
		return c.invalid(b.Place, "two kinds are called %q", b.Name)
	case b.Weight < 0 || b.Weight > 1000:
		return c.invalid(b.Place, "kind %q: weight %d: use 0 to 1000", b.Name, b.Weight)
	case b.Body < 0 || b.Body > 1<<20:
		return c.invalid(b.Place, "kind %q: body of %d bytes: use 0 to %d", b.Name, b.Body, 1<<20)
	case len(b.Path) == 0 || b.Path[0] != '/':
		return c.invalid(b.Place, "kind %q: path %q does not begin with \"/\"", b.Name, b.Path)
	}
	method := b.Method
	if method == "" {
		method = "POST"
	}
	c.Load.Kinds = append(c.Load.Kinds, load.Kind{Name: b.Name, Class: class, Method: method, Path: b.Path, Body: b.Body, Weight: b.Weight})
	return nil
}

func (d *Drill) hasKind(name string) bool {
	for _, k := range d.Load.Kinds {
		if k.Name == name {
			return true
		}
	}
	return false
}

func (c checker) addStep(b *stepBlock) error {
	s := Step{Name: b.Name}
	var err error
	if s.At, err = parseDuration(b.At, 0, c.Duration-time.Millisecond); err != nil {
		return c.invalid(where(b.Body, b.Place, "at"), "at %v", err)
	}
	if b.For != "" {
		if s.For, err = parseDuration(b.For, time.Millisecond, c.Duration-s.At); err != nil {
			return c.invalid(where(b.Body, b.Place, "for"), "for %v", err)
		}
	}
	faults := b.faults()
	if len(faults) != 1 {
		return c.invalid(b.Place, "%d faults: a step has exactly one", len(faults))
	}
	s.Fault = faults[0].fault()
	if err := s.Fault.CheckCondition(); err != nil {
		return c.invalid(faults[0].Place, "%v", err)
	}
	return c.place(s, b.Place)
}

// place puts a step on the time line.
func (c checker) place(s Step, at hcl.Range) error {
	if s.Name == "" || len(s.Name) > maxStepName {
		return c.invalid(at, "the name of a step has %d characters: use 1 to %d", len(s.Name), maxStepName)
	}
	for _, other := range c.Steps {
		if other.Name == s.Name {
			return c.invalid(at, "two steps are called %q", s.Name)
		}
		if s.Fault.Clashes(&other.Fault) && s.At < c.endOf(&other) && other.At < c.endOf(&s) {
			return c.invalid(at, "%s, and so it is by step %q at that time", s.Fault.String(), other.Name)
		}
	}
	c.Steps = append(c.Steps, s)
	return nil
}

func (d *Drill) endOf(s *Step) time.Duration {
	if s.For == 0 {
		return d.Duration
	}
	return s.At + s.For
}

// moment finds a point of the time line: a step's name, or its name and ".end".
func (d *Drill) moment(name string) (at time.Duration, found bool) {
	for _, s := range d.Steps {
		switch {
		case name == s.Name:
			return s.At, true
		case name == s.Name+".end" && s.For > 0:
			return s.At + s.For, true
		}
	}
	return 0, false
}

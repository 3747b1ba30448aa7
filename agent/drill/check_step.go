package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
)

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
	blocks := 0
	for _, read := range []func(*Step, *stepBlock) (int, error){c.faultOf, c.orderOf, c.extraOf, c.moveOf} {
		n, err := read(&s, b)
		if err != nil {
			return err
		}
		blocks += n
	}
	if blocks != 1 {
		return c.invalid(b.Place, "%d things happen: a step has exactly one fault, operator's word, load or devices_leave", blocks)
	}
	return c.place(s, b.Place)
}

// The readers below return how many blocks of their sort a step has.

func (c checker) faultOf(s *Step, b *stepBlock) (int, error) {
	faults := b.faults()
	for n := range faults {
		s.Fault = faults[n].fault()
		if err := s.Fault.CheckCondition(); err != nil {
			return 0, c.invalid(faults[n].Place, "%v", err)
		}
	}
	return len(faults), nil
}

func (c checker) orderOf(s *Step, b *stepBlock) (int, error) {
	orders := b.orders()
	for _, o := range orders {
		s.Order = &admin.OverrideRequest{Action: o.action, Region: o.Region, Reason: o.Reason}
		if err := s.Order.Check(); err != nil {
			return 0, c.invalid(o.Place, "%v", err)
		}
	}
	return len(orders), nil
}

func (c checker) extraOf(s *Step, b *stepBlock) (int, error) {
	for _, e := range b.Load {
		if c.Observe {
			return 0, c.invalid(e.Place, "load: an observed drill has no devices of its own")
		}
		s.Load = &load.Extra{From: c.lead() + s.At, Until: c.lead() + c.endOf(s), Rate: e.Rate, Kinds: e.Kinds, Tenant: e.Tenant, Region: e.Region}
		if !(e.Rate > 0 && e.Rate <= maxRate) || e.Rate*(c.endOf(s)-s.At).Seconds() > maxRequests {
			return 0, c.invalid(e.Place, "load: rate %g: use more than 0 and at most %d a second, %d requests in all", e.Rate, maxRate, maxRequests)
		}
		if e.Tenant != "" && !slices.Contains(c.Load.Tenants, e.Tenant) {
			return 0, c.invalid(e.Place, "load: the devices have no tenant %q", e.Tenant)
		}
		for _, kind := range e.Kinds {
			if !c.hasKind(kind) {
				return 0, c.invalid(e.Place, "load: there is no kind %q", kind)
			}
		}
	}
	return len(b.Load), nil
}

func (c checker) moveOf(s *Step, b *stepBlock) (int, error) {
	for _, m := range b.Leave {
		if c.Observe {
			return 0, c.invalid(m.Place, "devices_leave: an observed drill has no devices of its own")
		}
		s.Leave = &load.Move{Region: m.Region, From: c.lead() + s.At}
		if s.For > 0 {
			s.Leave.Until = c.lead() + s.At + s.For
		}
		for _, span := range []struct {
			name, text string
			into       *time.Duration
		}{{"over", m.Over, &s.Leave.Over}, {"return_over", m.ReturnOver, &s.Leave.BackOver}} {
			if span.text == "" {
				continue
			}
			d, err := parseDuration(span.text, 0, c.Duration)
			if err != nil {
				return 0, c.invalid(m.Place, "devices_leave: %s %v", span.name, err)
			}
			*span.into = d
		}
	}
	return len(b.Leave), nil
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
		if s.clashes(&other) && s.At < c.endOf(&other) && other.At < c.endOf(&s) {
			return c.invalid(at, "%s, and so it is by step %q at that time", s.String(), other.Name)
		}
	}
	c.Steps = append(c.Steps, s)
	if s.Load != nil {
		c.Load.Extra = append(c.Load.Extra, *s.Load)
	}
	if s.Leave != nil {
		c.Load.Moves = append(c.Load.Moves, *s.Leave)
	}
	return nil
}

// clashes says that the end of one step would end the other.
func (s *Step) clashes(other *Step) bool {
	switch {
	case s.Order != nil:
		return other.Order != nil && s.Order.Region == other.Order.Region
	case s.Leave != nil:
		return other.Leave != nil && s.Leave.Region == other.Leave.Region
	case s.Load != nil:
		return false
	}
	return other.Fault.Kind != "" && s.Fault.Clashes(&other.Fault)
}

// String is what happens, in words.
func (s *Step) String() string {
	switch {
	case s.Order != nil:
		return s.Order.String()
	case s.Leave != nil:
		return "devices of " + s.Leave.Region + " go elsewhere"
	case s.Load != nil:
		return s.loadString()
	}
	return s.Fault.String()
}

func (s *Step) loadString() string {
	text := fmt.Sprintf("%g requests a second more", s.Load.Rate)
	if len(s.Load.Kinds) > 0 {
		text += " of " + strings.Join(s.Load.Kinds, " and ")
	}
	if s.Load.Tenant != "" {
		text += " from tenant " + s.Load.Tenant
	}
	if s.Load.Region != "" {
		text += " at " + s.Load.Region
	}
	return text
}

func (d *Drill) endOf(s *Step) time.Duration {
	if s.For == 0 {
		return d.Duration
	}
	return s.At + s.For
}

// moment finds a point of the time line: a step's name, its name and ".end",
// or one of them, "+" and a duration.
func (d *Drill) moment(name string) (at time.Duration, found bool) {
	if at, found = d.event(name); found {
		return at, true
	}
	plus := strings.LastIndexByte(name, '+')
	if plus < 0 {
		return 0, false
	}
	after, err := time.ParseDuration(name[plus+1:])
	if at, found = d.event(name[:plus]); !found || err != nil || after < 0 || after > d.Duration {
		return 0, false
	}
	return at + after, true
}

func (d *Drill) event(name string) (at time.Duration, found bool) {
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

func (d *Drill) firstStep() time.Duration { return firstStep(d.Steps) }

// firstStep is when the first one begins; 0 when there is none.
func firstStep(steps []Step) time.Duration {
	if len(steps) == 0 {
		return 0
	}
	first := steps[0].At
	for _, s := range steps {
		first = min(first, s.At)
	}
	return first
}

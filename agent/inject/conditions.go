package inject

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/fault"
)

// Conditions are what faults have brought about in one agent. With none in force
// they cost a request one load of a pointer. Safe for concurrent use.
type Conditions struct {
	agent, region string

	// Network is what the decorators of the agent's sockets obey.
	Network *fault.Switch
	// Catalog is the way to Consul.
	Catalog Gate

	exit     func()
	places   places
	services services
	clock    clock
}

// NewConditions returns those of an agent of a region. Exit ends the process
// without a word, soon after it was called.
func NewConditions(agent, region string, exit func()) *Conditions {
	c := &Conditions{agent: agent, region: region, exit: exit}
	c.Network = fault.NewSwitch(c.regionOf)
	return c
}

// Begin brings about this agent's part of a fault, which may be nothing. Errors
// are of kind policy.ErrInvalid when only development meshes can do it.
func (c *Conditions) Begin(f admin.Fault) (End, error) {
	if rule, mine := RuleAt(c.region, &f); mine {
		return ended(func() { c.Network.Remove(rule.ID) }), c.Network.Add(rule)
	}
	here := f.Region == c.region
	switch f.Kind {
	case admin.FaultCapacity:
		return nil, fmt.Errorf("%w: fault capacity is for the sample services of `tidegate dev`: use service_fault or slow_service", policy.ErrInvalid)
	case admin.FaultInstanceFailure, admin.FaultSlowService, admin.FaultServiceFault:
		if here {
			return c.services.add(&f), nil
		}
	case admin.FaultCatalogDown:
		if here {
			c.Catalog.shut()
			return ended(c.Catalog.reopen), nil
		}
	case admin.FaultClockJump:
		if f.Agent == c.agent {
			by := duration(f.By)
			c.clock.shift(by)
			return ended(func() { c.clock.shift(-by) }), nil
		}
	case admin.FaultAgentCrash:
		if f.Agent == c.agent {
			c.exit()
		}
	}
	return ended(func() {}), nil
}

func ended(do func()) End { return func(context.Context) error { do(); return nil } }

// Concerns says whether a fault has a part that an agent of a region brings about.
func Concerns(f *admin.Fault, agent, region string) bool {
	switch f.Kind {
	case admin.FaultDrill:
		return true
	case admin.FaultLatency, admin.FaultLoss, admin.FaultCut:
		return region == f.From || region == f.To && !f.OneWay
	}
	return f.Agent == agent && agent != "" || f.Region == region && region != ""
}

// Now is the time of day as the agent has it.
func (c *Conditions) Now() time.Time { return c.clock.at(time.Now()) }

// At is what the time of day at a moment was, as the agent has it now.
func (c *Conditions) At(moment time.Time) time.Time { return c.clock.at(moment) }

package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

// Fault is one injected condition.
type Fault interface {
	begin(ctx context.Context, m *dev.Mesh) error
	end(ctx context.Context, m *dev.Mesh) error
	check() error
	lost() string // the region whose edge cannot be reached meanwhile; empty: none
	String() string
}

// regionOutage cuts a region's agents off from everything, gossip and devices
// included.
type regionOutage struct {
	Region string `hcl:"region"`
}

func (f *regionOutage) begin(_ context.Context, m *dev.Mesh) error { return m.Cut(f.Region) }
func (f *regionOutage) end(_ context.Context, m *dev.Mesh) error   { m.Heal(f.Region); return nil }
func (f *regionOutage) check() error                               { return nil }
func (f *regionOutage) lost() string                               { return f.Region }
func (f *regionOutage) String() string                             { return "region " + f.Region + " cut off" }

// agentCrash ends an agent without a word; its end starts it again.
type agentCrash struct {
	Agent string `hcl:"agent"`
}

func (f *agentCrash) begin(_ context.Context, m *dev.Mesh) error { return m.Crash(f.Agent) }
func (f *agentCrash) end(ctx context.Context, m *dev.Mesh) error { return m.Restart(ctx, f.Agent) }
func (f *agentCrash) check() error                               { return nil }
func (f *agentCrash) lost() string                               { return "" }
func (f *agentCrash) String() string                             { return "agent " + f.Agent + " crashed" }

// instanceFailure makes a service's instances in a region answer 500 and fail
// their checks.
type instanceFailure struct {
	Region  string `hcl:"region"`
	Service string `hcl:"service"`
}

func (f *instanceFailure) begin(_ context.Context, m *dev.Mesh) error {
	return m.FailService(f.Region, f.Service, true)
}

func (f *instanceFailure) end(_ context.Context, m *dev.Mesh) error {
	return m.FailService(f.Region, f.Service, false)
}

func (f *instanceFailure) check() error   { return nil }
func (f *instanceFailure) lost() string   { return "" }
func (f *instanceFailure) String() string { return f.Service + " fails in " + f.Region }

// latency adds delay between two regions, each way.
type latency struct {
	From  string `hcl:"from"`
	To    string `hcl:"to"`
	Delay string `hcl:"delay"`

	delay time.Duration
}

func (f *latency) begin(_ context.Context, m *dev.Mesh) error { return m.Delay(f.From, f.To, f.delay) }
func (f *latency) end(_ context.Context, m *dev.Mesh) error   { return m.Delay(f.From, f.To, 0) }
func (f *latency) lost() string                               { return "" }
func (f *latency) String() string {
	return fmt.Sprintf("%s more between %s and %s", f.delay, f.From, f.To)
}

func (f *latency) check() (err error) {
	f.delay, err = duration("delay", f.Delay, 10*time.Second)
	return err
}

// slowService makes a service's instances in a region take that long.
type slowService struct {
	Region  string `hcl:"region"`
	Service string `hcl:"service"`
	Takes   string `hcl:"takes"`

	takes time.Duration
}

func (f *slowService) begin(_ context.Context, m *dev.Mesh) error {
	return m.SlowService(f.Region, f.Service, f.takes)
}

func (f *slowService) end(_ context.Context, m *dev.Mesh) error {
	return m.SlowService(f.Region, f.Service, m.Latency())
}

func (f *slowService) lost() string { return "" }
func (f *slowService) String() string {
	return fmt.Sprintf("%s takes %s in %s", f.Service, f.takes, f.Region)
}

func (f *slowService) check() (err error) {
	f.takes, err = duration("takes", f.Takes, time.Minute)
	return err
}

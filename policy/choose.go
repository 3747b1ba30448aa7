package policy

import "time"

// Pool is the set of local instances of one target. Immutable; the load and
// health of its instances are shared by every pool that holds them.
type Pool struct {
	Target    Target
	Instances []*Instance
}

// NewPool returns the pool of the given instances of t.
func NewPool(t Target, instances []*Instance) *Pool {
	return &Pool{Target: t, Instances: instances}
}

// Pick chooses an instance, nil when none may be given the request.
func (p *Pool) Pick(rng uint64, now time.Time, exclude ...*Instance) *Instance { return nil }

// Usable counts the instances that Pick chooses from while they are trusted.
func (p *Pool) Usable(now time.Time) int { return 0 }

// Load is what this region reports of the target.
func (p *Pool) Load(now time.Time) Load { return Load{} }

// Explain records each instance and why it may or may not be chosen now.
func (p *Pool) Explain(now time.Time, tr *Trace) {}

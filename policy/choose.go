package policy

import "time"

// Pool is the set of local instances of one target. Immutable; the load and
// health of its instances are shared by every pool that holds them. A nil
// *Pool holds nothing.
type Pool struct {
	Target    Target
	Instances []*Instance // as the catalog gave them, whatever their status

	ready      []*Instance
	distrusted []*Instance
}

// NewPool returns the pool of t. The instances come from an InstanceTable.
func NewPool(t Target, instances []*Instance) *Pool {
	p := &Pool{Target: t, Instances: instances}
	for _, i := range instances {
		switch i.Status {
		case InstanceReady:
			p.ready = append(p.ready, i)
		case InstanceDistrusted:
			p.distrusted = append(p.distrusted, i)
		}
	}
	return p
}

// Pick chooses an instance for one request: of two ready ones drawn at random
// the one with the smaller product of requests in flight and latency. Nil when
// none is left. rng is a uniformly random value; exclude are instances that
// already failed this request (nil ones are ignored).
//
// An ejected instance is drawn only when no other is left, one that has just
// returned as often as its slow start allows, and a distrusted one only when
// the pool holds no ready one at all. Lock-free, does not allocate.
//
// Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load
// Balancing", IEEE TPDS 12(10), 2001; the cost is the one of Finagle's
// "p2c + peak EWMA" with a plain average.
func (p *Pool) Pick(rng uint64, now time.Time, exclude ...*Instance) *Instance {
	if p == nil {
		return nil
	}
	members := p.ready
	if len(members) == 0 {
		members = p.distrusted
	}
	if len(members) == 0 {
		return nil
	}
	d := draw{members: members, rng: rng, at: members[0].health.service.since(now), exclude: exclude}
	d.bar = float32(d.next()>>40) / (1 << 24)
	first := d.lowering()
	if first == nil || len(members) == 1 {
		return first
	}
	second := d.one(first)
	if second != nil && second.lighterThan(first, d.at) {
		return second
	}
	return first
}

// Usable counts the ready instances that Pick draws from: those not ejected, or
// all of them when all are ejected.
func (p *Pool) Usable(now time.Time) int {
	if p == nil {
		return 0
	}
	usable := 0
	for _, i := range p.ready {
		if !i.Ejected(now) {
			usable++
		}
	}
	if usable == 0 {
		return len(p.ready)
	}
	return usable
}

// Load is what this region reports of the target.
func (p *Pool) Load(now time.Time) Load {
	if p == nil {
		return Load{}
	}
	load := Load{Ready: p.Usable(now)}
	for _, i := range p.Instances {
		load.InFlight += i.InFlight()
	}
	return load
}

// Explain records each instance and why Pick may or may not choose it now.
func (p *Pool) Explain(now time.Time, tr *Trace) {
	if p == nil || tr == nil {
		return
	}
	for _, i := range p.Instances {
		switch {
		case i.Status == InstanceCritical:
			tr.Pass("instance", i.ID, "critical in the catalog")
		case i.Status == InstanceDistrusted && len(p.ready) > 0:
			tr.Pass("instance", i.ID, "gone from the catalog: only when no ready one is left")
		case i.Ejected(now):
			tr.Pass("instance", i.ID, "ejected for its failures, back in %s", i.health.backIn(now).Round(time.Millisecond))
		default:
			tr.Take("instance", i.ID, "%s", i.describe(now))
		}
	}
}

// draw takes instances at random, out of a list, for one Pick.
type draw struct {
	members []*Instance
	exclude []*Instance
	rng     uint64
	at      int64
	bar     float32 // an instance is drawn when its share is above
}

const (
	barRamping = 0  // whatever its slow start says
	barEjected = -1 // even the ejected
)

// lowering draws one, and where there is none lowers the bar.
func (d *draw) lowering() *Instance {
	for {
		if one := d.one(nil); one != nil {
			return one
		}
		switch {
		case d.bar > barRamping:
			d.bar = barRamping
		case d.bar > barEjected:
			d.bar = barEjected
		default:
			return nil
		}
	}
}

// one draws an instance other than not. A few blind draws nearly always do;
// then it looks at every one from a random place on.
func (d *draw) one(not *Instance) *Instance {
	for range 4 {
		if c := d.members[d.below(len(d.members))]; d.fits(c, not) {
			return c
		}
	}
	start := d.below(len(d.members))
	for k := range d.members {
		if c := d.members[(start+k)%len(d.members)]; d.fits(c, not) {
			return c
		}
	}
	return nil
}

func (d *draw) fits(c, not *Instance) bool {
	if c == not || c.health.share(d.at) <= d.bar {
		return false
	}
	for _, e := range d.exclude {
		if e != nil && e.health == c.health {
			return false
		}
	}
	return true
}

func (d *draw) next() uint64 {
	d.rng += 0x9e3779b97f4a7c15
	return scramble(d.rng)
}

func (d *draw) below(n int) int {
	return int((d.next() >> 32) * uint64(n) >> 32)
}

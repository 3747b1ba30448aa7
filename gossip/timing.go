package gossip

import (
	"errors"
	"fmt"
	"time"
)

// Timing holds every interval of the mesh. A zero field takes the value of
// DefaultTiming. Ages are always measured by the local monotonic clock from
// the arrival of a frame; no wall clock crosses the wire.
type Timing struct {
	LAN, WAN PoolTiming

	Tick time.Duration // how often the mesh looks at what is due; default 50 ms

	Load      time.Duration // a gateway's load to its fellows; other agents' to the gateways take twice as long, in large regions three times; default 250 ms
	LoadFresh time.Duration // older loads are left out of the sums; default 2 s

	Digest       time.Duration // lead's digest; sooner when it changes; default 30 s, for deltas tell it too
	Delta        time.Duration // lead's word on what changed in its vector, if anything; a fifth longer where deltas are relayed; default 500 ms
	VectorChange time.Duration // sums, and whole vectors at most this often; default 250 ms
	VectorRepeat time.Duration // the least gap between whole vectors too large for a datagram, and what agents of an earlier version get; default 1 s
	FanoutStep   time.Duration // the n-th gateway waits n steps for another's LAN copy before it sends its own; default 150 ms

	LeadSilence   time.Duration // a new lead waits for this much silence of the old one; default 1 s
	Settle        time.Duration // after start, time to find the others before taking a role alone; default 2 s
	GatewayUp     time.Duration // among the first k for this long: joins the WAN pool; default 1 s
	GatewayDown   time.Duration // not among the first k for this long: leaves it; default 5 s
	Verdict       time.Duration // repeat of a declared verdict; default 250 ms
	VerdictExpiry time.Duration // verdict without a repeat is void; default 2 s
	Opinion       time.Duration // opinions between gateways; default 100 ms
	OpinionExpiry time.Duration // older opinions are forgotten; default 1 s

	RejoinMin time.Duration // first retry of an address without a live member, jittered; default 500 ms
	RejoinMax time.Duration // the retries' upper bound, for ever; default 5 s
	Remember  time.Duration // how long the address of a vanished member is kept (configured ones: for ever); default 24 h
	StartOver time.Duration // a region silent for this long may begin with a lower term; default 10 min
}

// PoolTiming tunes memberlist for one pool. See memberlist.Config for the
// exact meaning of each.
type PoolTiming struct {
	GossipInterval time.Duration // default 100 ms LAN, 200 ms WAN
	GossipNodes    int           // default 3 LAN, 4 WAN
	ProbeInterval  time.Duration // default 1 s LAN, 5 s WAN
	ProbeTimeout   time.Duration // default 500 ms LAN, 3 s WAN
	SuspicionMult  int           // default 4 LAN, 6 WAN
	PushPull       time.Duration // full state exchange with one random member; default 30 s LAN, 60 s WAN
	StreamTimeout  time.Duration // dialling and writing a stream; default 3 s LAN, 5 s WAN
	DeadReclaim    time.Duration // a dead member's name may return from another address after this; default 30 s
}

// DefaultTiming is for production: regions of up to a thousand agents on a
// LAN, tens of regions over a WAN.
func DefaultTiming() Timing {
	return Timing{
		LAN: PoolTiming{
			GossipInterval: 100 * time.Millisecond, GossipNodes: 3,
			ProbeInterval: time.Second, ProbeTimeout: 500 * time.Millisecond, SuspicionMult: 4,
			PushPull: 30 * time.Second, StreamTimeout: 3 * time.Second, DeadReclaim: 30 * time.Second,
		},
		WAN: PoolTiming{
			GossipInterval: 200 * time.Millisecond, GossipNodes: 4,
			ProbeInterval: 5 * time.Second, ProbeTimeout: 3 * time.Second, SuspicionMult: 6,
			PushPull: 60 * time.Second, StreamTimeout: 5 * time.Second, DeadReclaim: 30 * time.Second,
		},
		Tick:         50 * time.Millisecond,
		Load:         250 * time.Millisecond,
		LoadFresh:    2 * time.Second,
		Digest:       30 * time.Second,
		Delta:        500 * time.Millisecond,
		VectorChange: 250 * time.Millisecond, VectorRepeat: time.Second, FanoutStep: 150 * time.Millisecond,
		LeadSilence: time.Second,
		Settle:      2 * time.Second, GatewayUp: time.Second, GatewayDown: 5 * time.Second,
		Verdict: 250 * time.Millisecond, VerdictExpiry: 2 * time.Second,
		Opinion: 100 * time.Millisecond, OpinionExpiry: time.Second,
		RejoinMin: 500 * time.Millisecond, RejoinMax: 5 * time.Second,
		Remember: 24 * time.Hour, StartOver: 10 * time.Minute,
	}
}

// DevTiming is for several regions on one machine: the mesh comes up in less
// than 2 s on loopback and finds dead members within about 3 s. Report
// intervals stay those of production, so that what is seen in dev is what
// production does.
func DevTiming() Timing {
	t := DefaultTiming()
	pool := PoolTiming{
		GossipInterval: 50 * time.Millisecond, GossipNodes: 3,
		ProbeInterval: 500 * time.Millisecond, ProbeTimeout: 250 * time.Millisecond, SuspicionMult: 4,
		PushPull: 5 * time.Second, StreamTimeout: time.Second, DeadReclaim: 2 * time.Second,
	}
	t.LAN, t.WAN = pool, pool
	t.Settle, t.GatewayUp, t.GatewayDown = 300*time.Millisecond, 100*time.Millisecond, 3*time.Second
	t.LeadSilence = 300 * time.Millisecond
	t.FanoutStep = 50 * time.Millisecond
	t.RejoinMin, t.RejoinMax = 100*time.Millisecond, 2*time.Second
	return t
}

func (t Timing) withDefaults() Timing {
	d := DefaultTiming()
	t.LAN = t.LAN.or(d.LAN)
	t.WAN = t.WAN.or(d.WAN)
	own, std := t.durations(), d.durations()
	for i, p := range own {
		orDefault(p.value, *std[i].value)
	}
	return t
}

func (p PoolTiming) or(d PoolTiming) PoolTiming {
	orDefault(&p.GossipInterval, d.GossipInterval)
	orDefault(&p.GossipNodes, d.GossipNodes)
	orDefault(&p.ProbeInterval, d.ProbeInterval)
	orDefault(&p.ProbeTimeout, d.ProbeTimeout)
	orDefault(&p.SuspicionMult, d.SuspicionMult)
	orDefault(&p.PushPull, d.PushPull)
	orDefault(&p.StreamTimeout, d.StreamTimeout)
	orDefault(&p.DeadReclaim, d.DeadReclaim)
	return p
}

func orDefault[T int | time.Duration](p *T, value T) {
	if *p == 0 {
		*p = value
	}
}

type namedDuration struct {
	name  string
	value *time.Duration
}

func (t *Timing) durations() []namedDuration {
	return []namedDuration{
		{"tick", &t.Tick}, {"load", &t.Load}, {"load fresh", &t.LoadFresh}, {"digest", &t.Digest}, {"delta", &t.Delta},
		{"vector change", &t.VectorChange}, {"vector repeat", &t.VectorRepeat}, {"fan-out step", &t.FanoutStep},
		{"lead silence", &t.LeadSilence}, {"settle", &t.Settle},
		{"gateway up", &t.GatewayUp}, {"gateway down", &t.GatewayDown},
		{"verdict", &t.Verdict}, {"verdict expiry", &t.VerdictExpiry},
		{"opinion", &t.Opinion}, {"opinion expiry", &t.OpinionExpiry},
		{"rejoin min", &t.RejoinMin}, {"rejoin max", &t.RejoinMax},
		{"remember", &t.Remember}, {"start over", &t.StartOver},
	}
}

func (t *Timing) check() error {
	for _, d := range t.durations() {
		if *d.value < 0 {
			return fmt.Errorf("timing %q is %s: it must not be negative", d.name, *d.value)
		}
	}
	if t.RejoinMin > t.RejoinMax {
		return fmt.Errorf("timing: rejoin min %s exceeds rejoin max %s", t.RejoinMin, t.RejoinMax)
	}
	if t.VerdictExpiry <= t.Verdict {
		return errors.New("timing: a verdict would expire before it is repeated")
	}
	return nil
}

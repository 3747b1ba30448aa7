package policy

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// LivenessConfig tunes Liveness. Take DefaultLivenessConfig and change what you
// must.
type LivenessConfig struct {
	// Silence of every watched gateway of a region, beyond the excess of its
	// round-trip time, makes the region silent. Default 700 ms: 14 probes.
	Silence time.Duration
	// Stall is the time between two Ticks from which the gateway distrusts
	// itself: that window then counts as half a Stall. Default 100 ms.
	Stall time.Duration
	// Confirm is how long another gateway's opinion holds. Default 500 ms.
	Confirm time.Duration
	// Return is how long a region that was down must be heard without a gap of
	// Silence before it is alive again. Default 3 s.
	Return time.Duration
}

// DefaultLivenessConfig returns the production values.
func DefaultLivenessConfig() LivenessConfig {
	return LivenessConfig{
		Silence: 700 * time.Millisecond,
		Stall:   100 * time.Millisecond,
		Confirm: 500 * time.Millisecond,
		Return:  3 * time.Second,
	}
}

// Change is a region's passage to another state.
type Change struct {
	Region string
	State  RegionState // RegionAlive or RegionDown
	Reason string
}

// Liveness decides, in one gateway, which regions are down, from the packets
// of the data path.
//
// A region is unknown until it is heard once. It goes down when this gateway
// hears none of the watched peers for Silence (plus the excess of the round-trip
// time, see RTT) and either another gateway of the own region says the same, or
// none has said anything for Confirm. It comes back when this gateway has heard
// it for Return without a gap of Silence, or when, for as long, every other
// gateway that speaks has held it up: a half-deaf gateway must not hold a
// region down. Down stays down when its peers are no longer watched; Forget
// ends that.
//
// Times are those of the caller and must not run backwards by much. Safe for
// concurrent use; nothing in it waits.
type Liveness struct {
	cfg LivenessConfig

	mu       sync.Mutex // guards what follows
	regions  map[string]*pulse
	lastTick time.Time
}

// NewLiveness returns a Liveness that knows no region.
func NewLiveness(cfg LivenessConfig) *Liveness {
	return &Liveness{cfg: cfg, regions: make(map[string]*pulse)}
}

// Watch replaces the set of a region's gateways that are probed now. When all
// of them are new they get Silence to answer first, once between two packets.
// With no peers a region that is not down becomes unknown.
func (l *Liveness) Watch(region string, peers []string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.regions[region]
	if len(peers) == 0 && (r == nil || r.state != RegionDown) {
		delete(l.regions, region)
		return
	}
	if r == nil {
		r = &pulse{opinions: make(map[string]opinion)}
		l.regions[region] = r
	}
	r.watch(peers, now)
}

// Forget drops all that is known of a region, its being down included. For a
// region that has left the mesh for good.
func (l *Liveness) Forget(region string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.regions, region)
}

// Heard says that a watched peer answered. Others are
// ignored.
func (l *Liveness) Heard(region, peer string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.regions[region]; r != nil && r.peers[peer] != nil {
		r.hear(now, l.stalled(now), l.cfg.Silence)
	}
}

// RTT gives a measured round trip to a watched peer. How far the smoothed value
// lies above the smallest of the last minute lengthens Silence by four times
// as much, up to 250 ms.
func (l *Liveness) RTT(region, peer string, rtt time.Duration, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.regions[region]; r != nil && r.peers[peer] != nil && rtt > 0 {
		r.peers[peer].measure(rtt, now)
		r.rtt.Follow(r.nearest())
	}
}

// Opinion is what another gateway of the own region says: whether it, by
// itself, finds the region silent. A gateway that lists only silent regions
// says of every other that it hears it.
func (l *Liveness) Opinion(from, region string, silent bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.regions[region]; r != nil {
		r.opinions[from] = opinion{silent: silent, at: now}
	}
}

// Tick decides, and returns what has changed, by region. Its owner calls it
// every 50 ms; fellows are the other live gateways of the own region, whose
// opinions alone count.
func (l *Liveness) Tick(now time.Time, fellows []string) []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.discardStall(now)
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(l.regions)) {
		r := l.regions[name]
		if state, reason := r.tick(&l.cfg, fellows, now); state != r.state {
			r.enter(state, &l.cfg, now)
			changes = append(changes, Change{Region: name, State: state, Reason: reason})
		}
	}
	return changes
}

// Silent is this gateway's own opinion as of the last Tick, to be told to its
// fellows: it does not hear a region that it watches, or holds it down.
func (l *Liveness) Silent(region string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.regions[region]
	return r != nil && r.silent
}

// State returns RegionUnknown, RegionAlive or RegionDown, as of the last Tick.
func (l *Liveness) State(region string) RegionState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.regions[region]; r != nil {
		return r.state
	}
	return RegionUnknown
}

// Down lists the regions held down, sorted.
func (l *Liveness) Down() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var down []string
	for name, r := range l.regions {
		if r.state == RegionDown {
			down = append(down, name)
		}
	}
	slices.Sort(down)
	return down
}

// RegionRTT returns the round-trip time to the nearest watched peer of a region,
// steadied so that it can order regions; false when none was measured.
func (l *Liveness) RegionRTT(region string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.regions[region]
	if r == nil || r.rtt.value == 0 {
		return 0, false
	}
	return r.rtt.value, true
}

// stalled is how long the gateway's own loop has been standing still.
func (l *Liveness) stalled(now time.Time) time.Duration {
	if gap := now.Sub(l.lastTick); !l.lastTick.IsZero() && gap > l.cfg.Stall {
		return gap - l.cfg.Stall/2
	}
	return 0
}

// discardStall shifts every memory by the time that the loop stood still, all
// but half a Stall: a machine that always stalls still decides, only later.
func (l *Liveness) discardStall(now time.Time) {
	if lost := l.stalled(now); lost > 0 {
		for _, r := range l.regions {
			r.shift(lost, now)
		}
	}
	if now.After(l.lastTick) {
		l.lastTick = now
	}
}

package policy

import "time"

// LivenessConfig tunes Liveness. Use DefaultLivenessConfig.
type LivenessConfig struct {
	Silence time.Duration
	Stall   time.Duration
	Confirm time.Duration
	Return  time.Duration
}

// DefaultLivenessConfig returns the production values.
func DefaultLivenessConfig() LivenessConfig {
	return LivenessConfig{
		Silence: 700 * time.Millisecond, Stall: 100 * time.Millisecond,
		Confirm: 500 * time.Millisecond, Return: 3 * time.Second,
	}
}

// Change is a region's passage to another state.
type Change struct {
	Region string
	State  RegionState
	Reason string
}

// Liveness decides which regions are down. Safe for concurrent use.
type Liveness struct{}

// NewLiveness returns a Liveness that knows no region.
func NewLiveness(cfg LivenessConfig) *Liveness { return &Liveness{} }

// Watch replaces the set of gateways of a region that are probed now.
func (l *Liveness) Watch(region string, peers []string, now time.Time) {}

// Heard says that an authenticated packet of a watched peer arrived.
func (l *Liveness) Heard(region, peer string, now time.Time) {}

// RTT gives a measured round trip to a watched peer.
func (l *Liveness) RTT(region, peer string, rtt time.Duration, now time.Time) {}

// Opinion is what another gateway of the own region says.
func (l *Liveness) Opinion(from, region string, silent bool, now time.Time) {}

// Tick decides; its owner calls it every 50 ms.
func (l *Liveness) Tick(now time.Time, fellows []string) []Change { return nil }

// Silent is this gateway's own opinion, to be told to its fellows.
func (l *Liveness) Silent(region string) bool { return false }

// State returns RegionUnknown, RegionAlive or RegionDown.
func (l *Liveness) State(region string) RegionState { return RegionUnknown }

// Down lists the regions held down, sorted.
func (l *Liveness) Down() []string { return nil }

// RegionRTT returns the steady round-trip time to a region.
func (l *Liveness) RegionRTT(region string) (time.Duration, bool) { return 0, false }

package policy

import "time"

// SpillConfig sets how demand is spread over regions.
type SpillConfig struct {
	Target float64 // share of a region's capacity that spill fills up to; default 0.8
}

// DefaultSpillConfig returns the defaults.
func DefaultSpillConfig() SpillConfig { return SpillConfig{Target: 0.8} }

// Spill decides how much of each service's demand every region serves. It keeps
// between views what damps the shares. Not safe for concurrent use.
type Spill struct{ cfg SpillConfig }

// NewSpill returns a Spill that has seen no view yet.
func NewSpill(cfg SpillConfig) *Spill { return &Spill{cfg: cfg} }

// Shares says where the demand of one service in the own region goes.
// Immutable.
type Shares struct {
	Legs     []Share   // weights sum to 1; the own region is among them
	Expected []Inbound // spill that will come here
	Reason   string    // why the shares are not simply local, for people
}

// Share is a region's part of the own region's demand.
type Share struct {
	Region string
	Weight float64 // 0 to 1
}

// Inbound is spill that another region will send here.
type Inbound struct {
	From  string
	Rates [4]float64 // req/s by class, for the region as a whole
}

// Update sets v.Shares. The one goroutine that builds views calls it on each,
// before the view is used.
func (s *Spill) Update(v *View, _ time.Time) {
	v.Shares = make(map[string]*Shares)
	if v.Policy == nil {
		return
	}
	for name := range v.Policy.Services() {
		v.Shares[name] = &Shares{Legs: []Share{{Region: v.Region, Weight: 1}}, Reason: "local"}
	}
}

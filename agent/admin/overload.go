package admin

import "github.com/tidegate/tidegate/policy"

// ByClass holds requests a second by class name; classes without any are left
// out.
type ByClass map[string]float64

// Rates makes a ByClass of figures in the order of policy.Classes.
func Rates(rates [4]float64) ByClass {
	var out ByClass
	for _, class := range policy.Classes() {
		if rate := rates[class]; rate > 0 {
			if out == nil {
				out = ByClass{}
			}
			out[class.String()] = rate
		}
	}
	return out
}

// Sum is all classes together.
func (b ByClass) Sum() float64 {
	sum := 0.0
	for _, rate := range b {
		sum += rate
	}
	return sum
}

// Admission is how one agent admits requests to one service in one region. Its
// own ingress and what the mesh brings are counted, not what other agents of
// the region admit.
type Admission struct {
	Limit            int     `json:"limit"`          // requests at a time that it lets through
	Hard             int     `json:"hard,omitempty"` // configured bound of that
	InFlight         int     `json:"in_flight"`
	Queued           int     `json:"queued"`
	Threshold        string  `json:"threshold,omitempty"` // rank below which requests are refused; empty: none is
	Rejecting        float64 `json:"rejecting"`           // share of arrivals, 0 to 1
	QueueWaitSeconds float64 `json:"queue_wait_seconds"`
	Capacity         float64 `json:"capacity,omitempty"` // requests a second; absent: not known yet
	Serving          float64 `json:"serving"`            // answers a second
	LatencySeconds   float64 `json:"latency_seconds"`
	BaselineSeconds  float64 `json:"baseline_seconds"` // latency without congestion
	Local            ByClass `json:"local,omitempty"`  // arrivals of this region's demand
	Spilled          ByClass `json:"spilled,omitempty"`
	Expected         ByClass `json:"expected,omitempty"` // spill that is coming, this agent's part
	Cause            string  `json:"cause,omitempty"`    // region whose spill raised the threshold
}

// AdmissionOf is an admission's state as answers show it.
func AdmissionOf(s policy.AdmissionStats) *Admission {
	return &Admission{
		Limit: s.Limit, Hard: s.Hard, InFlight: s.InFlight, Queued: s.Queued,
		Threshold: Threshold(s.Threshold), Rejecting: s.Rejecting, QueueWaitSeconds: s.QueueWait.Seconds(),
		Capacity: s.Capacity, Serving: s.Serving, LatencySeconds: s.Latency.Seconds(), BaselineSeconds: s.Baseline.Seconds(),
		Local: Rates(s.Local), Spilled: Rates(s.Spilled), Expected: Rates(s.Expected), Cause: s.Cause,
	}
}

// Threshold is the rank below which requests are refused, empty when none is.
func Threshold(r policy.Rank) string {
	if r == 0 {
		return ""
	}
	return r.String()
}

// RegionLoad is what a region's lead reports of a service, or of all of them:
// sums over its agents, the highest threshold and queue wait of any.
type RegionLoad struct {
	Capacity         float64 `json:"capacity,omitempty"` // requests a second; absent: not known of every service
	Demand           ByClass `json:"demand,omitempty"`   // of the region's own devices and services
	InFlight         int     `json:"in_flight"`
	Threshold        string  `json:"threshold,omitempty"`
	QueueWaitSeconds float64 `json:"queue_wait_seconds"`
}

// Share is the part of this region's demand for a service that a region is
// meant to serve.
type Share struct {
	Region string  `json:"region"`
	Weight float64 `json:"weight"` // 0 to 1; all of them sum to 1
}

// Inbound is spill that a region is expected to send here.
type Inbound struct {
	From  string  `json:"from"`
	Rates ByClass `json:"rates"`
}

// ExplainAdmission says what would become of the message where it would go
// first, by its rank.
type ExplainAdmission struct {
	Region   string     `json:"region"`
	Rank     string     `json:"rank"`
	Verdict  string     `json:"verdict"` // admitted, queued or shed, and why
	State    *Admission `json:"state,omitempty"`
	Expected []Inbound  `json:"expected,omitempty"` // spill to this region, by cause
}

package gossip

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	targetName      protowire.Number = 1
	targetReady     protowire.Number = 2
	targetInFlight  protowire.Number = 3
	targetCapacity  protowire.Number = 4 // thousandths of a request a second
	targetDemand    protowire.Number = 5 // the same, a varint for each class, least important first
	targetThreshold protowire.Number = 6
	targetWait      protowire.Number = 7 // microseconds

	rttRegion protowire.Number = 1
	rttMicros protowire.Number = 2
)

// An agent says no more than these, and frames that do are refused: no report,
// however absurd, outweighs all others. A frame cannot say less than zero or no
// number.
const (
	maxRate      = 1e9 // req/s
	maxReported  = time.Minute
	perRate      = 1000
	maxRateUnits = maxRate * perRate
)

// appendTargets writes targets in order of their names, so that equal content
// has equal bytes.
func appendTargets(b []byte, num protowire.Number, targets map[string]TargetLoad) []byte {
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		b = appendBlob(b, num, encodeTarget(name, targets[name]))
	}
	return b
}

func encodeTarget(name string, t TargetLoad) []byte {
	b := appendText(make([]byte, 0, len(name)+48), targetName, name)
	b = appendCount(b, targetReady, t.Ready)
	b = appendCount(b, targetInFlight, t.InFlight)
	b = appendUint(b, targetCapacity, rateUnits(t.Capacity))
	b = appendDemand(b, t.Demand)
	b = appendUint(b, targetThreshold, uint64(t.Threshold))
	return appendMicros(b, targetWait, t.QueueWait)
}

func appendDemand(b []byte, demand [4]float64) []byte {
	if demand == [4]float64{} {
		return b
	}
	var packed []byte
	for _, rate := range demand {
		packed = protowire.AppendVarint(packed, rateUnits(rate))
	}
	return appendBlob(b, targetDemand, packed)
}

func appendMicros(b []byte, num protowire.Number, d time.Duration) []byte {
	return appendUint(b, num, uint64(min(max(d, 0), maxReported).Microseconds()))
}

func rateUnits(rate float64) uint64 {
	if math.IsNaN(rate) || rate <= 0 {
		return 0
	}
	return uint64(math.Round(min(rate, maxRate) * perRate))
}

func (f field) rate() (float64, error) {
	n, err := f.atMost(maxRateUnits)
	return float64(n) / perRate, err
}

func (f field) micros() (time.Duration, error) {
	n, err := f.atMost(uint64(maxReported.Microseconds()))
	return time.Duration(n) * time.Microsecond, err
}

func (f field) atMost(limit uint64) (uint64, error) {
	if f.n > limit {
		return 0, refuse(dropAbsurd, ErrFrame, "field %d is %d: at most %d is believed", f.num, f.n, limit)
	}
	return f.n, nil
}

func takeTarget(targets map[string]TargetLoad, b []byte) error {
	var name string
	var t TargetLoad
	err := eachField(b, func(f field) (err error) {
		if f.is(targetName, protowire.BytesType) {
			name, err = f.name("target", MaxTarget)
			return err
		}
		return t.take(f)
	})
	switch {
	case err != nil:
		return err
	case name == "":
		return fmt.Errorf("%w: a target without a name", ErrFrame)
	case len(targets) >= MaxTargets:
		return fmt.Errorf("%w: more than %d targets", ErrFrame, MaxTargets)
	}
	targets[name] = t
	return nil
}

func (t *TargetLoad) take(f field) (err error) {
	switch {
	case f.is(targetReady, protowire.VarintType):
		t.Ready = f.count()
	case f.is(targetInFlight, protowire.VarintType):
		t.InFlight = f.count()
	case f.is(targetCapacity, protowire.VarintType):
		t.Capacity, err = f.rate()
	case f.is(targetDemand, protowire.BytesType):
		t.Demand, err = demandOf(f.b)
	case f.is(targetThreshold, protowire.VarintType):
		var n uint64
		n, err = f.atMost(math.MaxUint16)
		t.Threshold = uint16(n)
	case f.is(targetWait, protowire.VarintType):
		t.QueueWait, err = f.micros()
	}
	return err
}

// demandOf reads as many classes as it knows; a newer agent may have more.
func demandOf(b []byte) (demand [4]float64, err error) {
	for class := 0; class < len(demand) && len(b) > 0; class++ {
		n, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return demand, fmt.Errorf("%w: demand: %w", ErrFrame, protowire.ParseError(size))
		}
		if demand[class], err = (field{num: targetDemand, n: n}).rate(); err != nil {
			return demand, err
		}
		b = b[size:]
	}
	return demand, nil
}

func appendRTTs(b []byte, num protowire.Number, rtts map[string]time.Duration) []byte {
	for _, region := range slices.Sorted(maps.Keys(rtts)) {
		b = appendBlob(b, num, appendMicros(appendText(nil, rttRegion, region), rttMicros, rtts[region]))
	}
	return b
}

func takeRTT(rtts map[string]time.Duration, b []byte) error {
	var region string
	var rtt time.Duration
	err := eachField(b, func(f field) (err error) {
		switch {
		case f.is(rttRegion, protowire.BytesType):
			region, err = f.name("region", MaxRegionName)
		case f.is(rttMicros, protowire.VarintType):
			rtt, err = f.micros()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case region == "":
		return fmt.Errorf("%w: a distance without a region", ErrFrame)
	case len(rtts) >= MaxRTTs:
		return fmt.Errorf("%w: distances to more than %d regions", ErrFrame, MaxRTTs)
	}
	rtts[region] = rtt
	return nil
}

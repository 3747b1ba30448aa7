package gossip

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// An entry of a delta: the target's number less the previous one's plus one, a
// set of bits, and a varint for each bit that is set, lowest first. A newer
// agent may know more bits; their varints are passed over. What has no bit is
// zero.
const (
	entryReady     = 0
	entryInFlight  = 1
	entryCapacity  = 2
	entryDemand    = 3 // and three more, by class, least important first
	entryThreshold = 7
	entryWait      = 8
	entryBits      = 9
	maxEntryBits   = 32
)

// Rates and waits are coded in one byte up to 161, in steps of a tenth of their
// root: that is a seventh of the noise of a count that is averaged over a second.
// Above they take two bytes, as logarithms in steps of 0.13%. A capacity is no
// count, and is multiplied first for finer steps.
const (
	rootSteps     = 10
	rootCodes     = 128
	coarseStep    = 0.0013
	coarseFrom    = (rootCodes - 1) * (rootCodes - 1) / float64(rootSteps*rootSteps)
	capacityScale = 32
)

func codeOf(x float64) uint64 {
	switch {
	case math.IsNaN(x) || x <= 0:
		return 0
	case x <= coarseFrom:
		return max(uint64(math.Round(math.Sqrt(x)*rootSteps)), 1) // little is not nothing
	}
	return rootCodes + uint64(math.Round(math.Log(min(x, maxRate*capacityScale)/coarseFrom)/coarseStep))
}

func valueOf(code uint64) float64 {
	if code < rootCodes {
		root := float64(code) / rootSteps
		return root * root
	}
	return math.Exp(float64(code-rootCodes)*coarseStep) * coarseFrom
}

func (t *TargetLoad) codes() [entryBits]uint64 {
	var v [entryBits]uint64
	v[entryReady] = uint64(min(max(t.Ready, 0), maxCounter))
	v[entryInFlight] = uint64(min(max(t.InFlight, 0), maxCounter))
	v[entryCapacity] = codeOf(min(t.Capacity, maxRate) * capacityScale)
	for c, rate := range t.Demand {
		v[entryDemand+c] = codeOf(min(rate, maxRate))
	}
	v[entryThreshold] = uint64(t.Threshold)
	v[entryWait] = codeOf(float64(min(t.QueueWait, maxReported).Microseconds()) / 1000)
	return v
}

func fromCodes(v [entryBits]uint64) TargetLoad {
	t := TargetLoad{Ready: int(v[entryReady]), InFlight: int(v[entryInFlight]), Capacity: min(valueOf(v[entryCapacity])/capacityScale, maxRate)}
	for c := range t.Demand {
		t.Demand[c] = min(valueOf(v[entryDemand+c]), maxRate)
	}
	t.Threshold = uint16(v[entryThreshold])
	t.QueueWait = time.Duration(math.Round(valueOf(v[entryWait])*1000)) * time.Microsecond
	return t
}

// rounded is what receivers of an entry hold.
func rounded(t TargetLoad) TargetLoad { return fromCodes(t.codes()) }

func appendEntry(b []byte, after int, e entry) []byte {
	b = protowire.AppendVarint(b, uint64(e.id-after))
	codes := e.load.codes()
	bits := uint64(0)
	for i, code := range codes {
		if code != 0 {
			bits |= 1 << i
		}
	}
	b = protowire.AppendVarint(b, bits)
	for _, code := range codes {
		if code != 0 {
			b = protowire.AppendVarint(b, code)
		}
	}
	return b
}

func encodeEntries(entries []entry) []byte {
	var b []byte
	after := 0
	for _, e := range entries {
		b = appendEntry(b, after, e)
		after = e.id + 1
	}
	return b
}

func decodeEntries(b []byte) ([]entry, error) {
	var entries []entry
	after := 0
	for len(b) > 0 {
		e, rest, err := nextEntry(b, after)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		after, b = e.id+1, rest
	}
	return entries, nil
}

func nextEntry(b []byte, after int) (entry, []byte, error) {
	gap, b, err := nextVarint(b)
	if err != nil {
		return entry{}, nil, err
	}
	if gap >= MaxTargets || after+int(gap) >= MaxTargets {
		return entry{}, nil, fmt.Errorf("%w: entry %d: at most %d targets are allowed", ErrFrame, after, MaxTargets)
	}
	bits, b, err := nextVarint(b)
	if err != nil {
		return entry{}, nil, err
	}
	if bits >= 1<<maxEntryBits {
		return entry{}, nil, fmt.Errorf("%w: entry %d: unknown form", ErrFrame, after)
	}
	var codes [entryBits]uint64
	for i := range maxEntryBits {
		if bits&(1<<i) == 0 {
			continue
		}
		var code uint64
		if code, b, err = nextVarint(b); err != nil {
			return entry{}, nil, err
		}
		if i < entryBits {
			codes[i] = code
		}
	}
	return entry{after + int(gap), fromCodes(codes)}, b, checkCodes(codes)
}

func nextVarint(b []byte) (uint64, []byte, error) {
	n, size := protowire.ConsumeVarint(b)
	if size < 0 {
		return 0, nil, fmt.Errorf("%w: entries: %w", ErrFrame, protowire.ParseError(size))
	}
	return n, b[size:], nil
}

func checkCodes(codes [entryBits]uint64) error {
	limits := [entryBits]uint64{entryReady: maxCounter, entryInFlight: maxCounter, entryCapacity: codeOf(maxRate * capacityScale),
		entryThreshold: math.MaxUint16, entryWait: codeOf(float64(maxReported.Milliseconds()))}
	for c := range 4 {
		limits[entryDemand+c] = codeOf(maxRate)
	}
	for i, code := range codes {
		if code > limits[i] {
			return refuse(dropAbsurd, ErrFrame, "a target's number %d is %d: at most %d is believed", i, code, limits[i])
		}
	}
	return nil
}

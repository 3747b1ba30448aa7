package gossip

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Frames use the protobuf wire format
// (https://protobuf.dev/programming-guides/encoding/) without generated code.
// Unknown fields, and known ones of another wire type, are passed over, so
// that a newer agent may add to a frame.

// Limits on frames from others.
const (
	MaxDigest  = 300     // a digest's signed frame, bytes
	MaxFrame   = 2 << 20 // any frame, bytes
	MaxMeta    = 512     // node metadata, bytes; memberlist's own limit
	MaxTargets = 10_000  // in a load or vector
	MaxAgents  = 10_000  // in a vector, and live members of a pool
	MaxRegions = 1_000   // known, and named by a verdict or opinion
	MaxTarget  = 256     // a target's name, bytes
	MaxRTTs    = 12      // distances in a load or vector

	maxDatagram    = 1_180 // with memberlist's label, CRC and encryption: ≤ 1,300 bytes of UDP
	maxCertificate = 4_096
	maxCounter     = 1<<31 - 1
	maxTerm        = 1 << 62
)

// field is one decoded field; its value is in n or b according to typ.
type field struct {
	num protowire.Number
	typ protowire.Type
	n   uint64
	b   []byte
}

func (f field) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

// eachField calls visit for every field of b, until it fails.
func eachField(b []byte, visit func(field) error) error {
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return err
		}
		if err := visit(f); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func nextField(b []byte) (field, []byte, error) {
	num, typ, size := protowire.ConsumeTag(b)
	if size < 0 {
		return field{}, nil, fmt.Errorf("%w: bad tag: %w", ErrFrame, protowire.ParseError(size))
	}
	b = b[size:]
	f := field{num: num, typ: typ}
	switch typ {
	case protowire.VarintType:
		f.n, size = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.n, size = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.b, size = protowire.ConsumeBytes(b)
	default:
		size = protowire.ConsumeFieldValue(num, typ, b)
	}
	if size < 0 {
		return field{}, nil, fmt.Errorf("%w: field %d: %w", ErrFrame, num, protowire.ParseError(size))
	}
	return f, b[size:], nil
}

// name reads a printable string of 1 to limit bytes.
func (f field) name(what string, limit int) (string, error) {
	if err := checkName(what, string(f.b), limit); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return string(f.b), nil
}

// count reads a non-negative number; larger ones saturate, so that no sum of
// them overflows.
func (f field) count() int { return int(min(f.n, maxCounter)) }

func appendCount(b []byte, num protowire.Number, n int) []byte {
	return appendUint(b, num, uint64(min(max(n, 0), maxCounter)))
}

func appendUint(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, n)
}

func appendFixed(b []byte, num protowire.Number, n uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, n)
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendUint(b, num, protowire.EncodeBool(v))
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendBlob(b []byte, num protowire.Number, blob []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, blob)
}

package gossip

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// A digest and a vector open with the same fields.
const (
	headRegion   protowire.Number = 1
	headGroup    protowire.Number = 2
	headTerm     protowire.Number = 3
	headSeq      protowire.Number = 4
	headDraining protowire.Number = 5
	headPolicy   protowire.Number = 6
)

const (
	digestAgents   protowire.Number = 7
	digestReady    protowire.Number = 8
	digestInFlight protowire.Number = 9
	digestFormat   protowire.Number = 10
)

// head is what digests and vectors have in common.
type head struct {
	Region, Group string
	Version       Version
	Draining      bool
	PolicyVersion string
}

func (h *head) encode(b []byte) []byte {
	b = appendText(b, headRegion, h.Region)
	b = appendText(b, headGroup, h.Group)
	b = appendUint(b, headTerm, h.Version.Term)
	b = appendUint(b, headSeq, h.Version.Seq)
	b = appendBool(b, headDraining, h.Draining)
	return appendText(b, headPolicy, h.PolicyVersion)
}

func (h *head) take(f field) (err error) {
	switch {
	case f.is(headRegion, protowire.BytesType):
		h.Region, err = f.name("region", MaxRegionName)
	case f.is(headGroup, protowire.BytesType):
		h.Group, err = f.name("group", MaxRegionName)
	case f.is(headTerm, protowire.VarintType):
		h.Version.Term = f.n
	case f.is(headSeq, protowire.VarintType):
		h.Version.Seq = f.n
	case f.is(headDraining, protowire.VarintType):
		h.Draining = f.n != 0
	case f.is(headPolicy, protowire.BytesType):
		h.PolicyVersion, err = f.name("policy version", MaxPolicyVersion)
	}
	return err
}

func (h *head) check() error {
	if h.Region == "" {
		return fmt.Errorf("%w: no region", ErrFrame)
	}
	if h.Version.Term == 0 || h.Version.Term > maxTerm || h.Version.Seq > maxTerm {
		return fmt.Errorf("%w: version %s of region %s is out of range", ErrFrame, h.Version, h.Region)
	}
	return nil
}

// peekHead reads only what tells whether the rest is worth verifying.
func peekHead(payload []byte) (head, error) {
	var h head
	if err := eachField(payload, h.take); err != nil {
		return head{}, err
	}
	return h, h.check()
}

func encodeDigest(d *Digest) []byte {
	h := head{d.Region, d.Group, d.Version, d.Draining, d.PolicyVersion}
	b := h.encode(make([]byte, 0, MaxDigest))
	b = appendCount(b, digestAgents, d.Agents)
	b = appendCount(b, digestReady, d.Ready)
	b = appendCount(b, digestInFlight, d.InFlight)
	if d.format > formatWhole {
		b = appendUint(b, digestFormat, d.format)
	}
	return b
}

func decodeDigest(payload []byte) (*Digest, error) {
	d := Digest{format: formatWhole}
	var h head
	err := eachField(payload, func(f field) error {
		switch {
		case f.is(digestAgents, protowire.VarintType):
			d.Agents = f.count()
		case f.is(digestReady, protowire.VarintType):
			d.Ready = f.count()
		case f.is(digestInFlight, protowire.VarintType):
			d.InFlight = f.count()
		case f.is(digestFormat, protowire.VarintType):
			d.format = min(max(f.n, formatWhole), maxCounter)
		default:
			return h.take(f)
		}
		return nil
	})
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	d.Region, d.Group, d.Version, d.Draining, d.PolicyVersion = h.Region, h.Group, h.Version, h.Draining, h.PolicyVersion
	return &d, nil
}

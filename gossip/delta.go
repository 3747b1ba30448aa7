package gossip

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	deltaTable    protowire.Number = 10
	deltaPrevious protowire.Number = 11
	deltaEntries  protowire.Number = 12
)

// deltaFrame is what changed in a region's vector.
type deltaFrame struct {
	Region   string
	Version  Version
	Table    uint64 // sequence of the whole vector, of the same term, whose targets are numbered
	Previous uint64 // sequence of the vector or delta before
	Entries  []entry
}

func (d *deltaFrame) encode() []byte {
	h := head{Region: d.Region, Version: d.Version}
	b := h.encode(make([]byte, 0, 512))
	b = appendUint(b, deltaTable, d.Table)
	b = appendUint(b, deltaPrevious, d.Previous)
	if len(d.Entries) > 0 {
		b = appendBlob(b, deltaEntries, encodeEntries(d.Entries))
	}
	return b
}

func decodeDelta(payload []byte) (*deltaFrame, error) {
	var d deltaFrame
	var h head
	err := eachField(payload, func(f field) (err error) {
		switch {
		case f.is(deltaTable, protowire.VarintType):
			d.Table = f.n
		case f.is(deltaPrevious, protowire.VarintType):
			d.Previous = f.n
		case f.is(deltaEntries, protowire.BytesType):
			d.Entries, err = decodeEntries(f.b)
		default:
			err = h.take(f)
		}
		return err
	})
	if err == nil {
		err = h.check()
	}
	if err == nil && (d.Table == 0 || d.Table >= h.Version.Seq || d.Previous >= h.Version.Seq || d.Previous < d.Table) {
		err = fmt.Errorf("%w: sequence %d after %d on table %d", ErrFrame, h.Version.Seq, d.Previous, d.Table)
	}
	if err != nil {
		return nil, fmt.Errorf("delta: %w", err)
	}
	d.Region, d.Version = h.Region, h.Version
	return &d, nil
}

package gossip

import (
	"maps"
	"slices"
	"time"
)

const maxMends = 3

// heldDelta is kept for those who missed it.
type heldDelta struct {
	version  Version
	previous uint64
	frame    []byte
}

// base is what deltas of a region build on.
type base struct {
	version Version // of the whole vector
	frame   []byte  // it, with its certificate
	names   []string
	seqs    []uint64 // of the report that told each target last
	deltas  []heldDelta
}

func newBase(v *Vector, frame []byte) base {
	names := slices.Sorted(maps.Keys(v.Targets))
	seqs := make([]uint64, len(names))
	for i := range seqs {
		seqs[i] = v.Version.Seq
	}
	return base{version: v.Version, frame: frame, names: names, seqs: seqs}
}

func (b *base) bears(d *deltaFrame) bool {
	return b.version == Version{d.Version.Term, d.Table}
}

// place says where a version belongs among the deltas held, and whether it is
// there.
func (b *base) place(v Version) (int, bool) {
	return slices.BinarySearchFunc(b.deltas, v, func(h heldDelta, v Version) int { return h.version.Compare(v) })
}

func (b *base) keep(h heldDelta) {
	at, _ := b.place(h.version)
	b.deltas = slices.Insert(b.deltas, at, h)
	if extra := len(b.deltas) - keptDeltas; extra > 0 {
		b.deltas = slices.Delete(b.deltas, 0, extra)
	}
}

// gap is the version after which the first delta is missing.
func (b *base) gap() (before Version, missing bool) {
	before = b.version
	for i, h := range b.deltas {
		trimmed := i == 0 && len(b.deltas) == keptDeltas
		if h.previous > before.Seq && !trimmed {
			return before, true
		}
		before = h.version
	}
	return before, false
}

// since lists the frames that bring whoever holds a version to the newest: the
// deltas after it, or everything.
func (b *base) since(have Version) [][]byte {
	var frames [][]byte
	if have.Term != b.version.Term || have.Seq < b.version.Seq {
		frames, have = append(frames, b.frame), b.version
	}
	at, held := b.place(have)
	if held {
		at++
	}
	for _, h := range b.deltas[at:] {
		frames = append(frames, h.frame)
	}
	return frames
}

// acceptDelta adds what changed to a region's vector. Deltas may come in any
// order, and some may be lost: each target takes the newest that was said of it.
func (m *Mesh) acceptDelta(e *envelope, a arrival, now time.Time) error {
	d, err := decodeDelta(e.payload)
	if err != nil {
		return err
	}
	r := m.book.regions[d.Region]
	if r != nil && r.vector != nil {
		if _, known := r.base.place(d.Version); known && r.base.bears(d) {
			return nil
		}
		if !r.base.bears(d) {
			if fresh, err := m.newsOf(r, d.Version, r.vector.Version, r.vectorArrived, now); !fresh {
				return err
			}
		}
	}
	cert, err := m.identify(e, a, hint{region: d.Region}, now)
	if err != nil {
		return err
	}
	if cert.region != d.Region {
		return refuse(dropForeign, ErrForged, "delta of region %s signed by agent %s of region %s", d.Region, cert.agent, cert.region)
	}
	if r == nil || r.vector == nil || !r.base.bears(d) {
		m.askForReport(d.Region, Version{}, a, now)
		return refuse(dropNoBase, ErrStale, "delta %s of region %s, its table %d is not held", d.Version, d.Region, d.Table)
	}
	if len(d.Entries) > 0 && d.Entries[len(d.Entries)-1].id >= len(r.base.names) {
		return refuse(dropMalformed, ErrFrame, "delta %s of region %s names target %d of %d", d.Version, d.Region, d.Entries[len(d.Entries)-1].id, len(r.base.names))
	}
	if d.Region == m.cfg.Region {
		m.heardLead(cert.agent, now)
	}
	bare := *e
	bare.cert = nil
	frame := bare.encode()
	m.applyDelta(r, d, frame, cert.agent, now)
	if a.pool == nil {
		m.passLater(frame, now)
	} else {
		m.mend(r, a, now)
	}
	return nil
}

// mend asks for the first delta that is missing, a few times: whoever is asked
// may not have it either, and what it said comes up again.
func (m *Mesh) mend(r *region, a arrival, now time.Time) {
	before, missing := r.base.gap()
	if !missing {
		return
	}
	if r.mended != before {
		r.mended, r.mends = before, 0
	}
	if r.mends < maxMends && m.askForReport(r.name, before, a, now) {
		r.mends++
	}
}

func (m *Mesh) applyDelta(r *region, d *deltaFrame, frame []byte, from string, now time.Time) {
	v := *r.vector
	if len(d.Entries) > 0 {
		v.Targets = maps.Clone(v.Targets)
	}
	for _, e := range d.Entries {
		if r.base.seqs[e.id] < d.Version.Seq {
			r.base.seqs[e.id] = d.Version.Seq
			v.Targets[r.base.names[e.id]] = e.load
		}
	}
	r.base.keep(heldDelta{d.Version, d.Previous, frame})
	if d.Version.Compare(v.Version) > 0 {
		v.Version, r.vectorArrived, r.from = d.Version, now, from
	}
	r.setVector(&v)
	m.book.dirty = true
}

package gossip

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	loadTable   protowire.Number = 10
	loadEntries protowire.Number = 11

	rttAgain = 10 * time.Second // least time between whole loads for distances only
)

// loadDelta is what changed in an agent's load.
type loadDelta struct {
	origin
	Table    uint64 // sequence of the whole load whose targets are numbered
	Draining bool
	Entries  []entry
}

func (l *loadDelta) encode() []byte {
	b := l.origin.encode(make([]byte, 0, 512))
	b = appendBool(b, loadDraining, l.Draining)
	b = appendUint(b, loadTable, l.Table)
	if len(l.Entries) > 0 {
		b = appendBlob(b, loadEntries, encodeEntries(l.Entries))
	}
	return b
}

func decodeLoadDelta(payload []byte) (*loadDelta, error) {
	var l loadDelta
	err := eachField(payload, func(f field) (err error) {
		switch {
		case f.is(loadDraining, protowire.VarintType):
			l.Draining = f.n != 0
		case f.is(loadTable, protowire.VarintType):
			l.Table = f.n
		case f.is(loadEntries, protowire.BytesType):
			l.Entries, err = decodeEntries(f.b)
		default:
			err = l.origin.take(f)
		}
		return err
	})
	if err == nil {
		err = l.check()
	}
	if err == nil && (l.Table == 0 || l.Table >= l.Seq) {
		err = fmt.Errorf("%w: sequence %d on table %d", ErrFrame, l.Seq, l.Table)
	}
	if err != nil {
		return nil, fmt.Errorf("load delta: %w", err)
	}
	return &l, nil
}

func (m *Mesh) acceptLoadDelta(e *envelope, a arrival, now time.Time) error {
	o, err := m.sender(e, a, m.staleLoad, now)
	if err != nil {
		return err
	}
	d, err := decodeLoadDelta(e.payload)
	if err != nil {
		return err
	}
	l := m.book.loads[o.Agent]
	if l == nil || l.life != o.Life || !l.complete || l.table != d.Table {
		m.askForLoad(o.Agent, now)
		return refuse(dropNoBase, ErrStale, "load %d of agent %s, its table %d is not held", o.Seq, o.Agent, d.Table)
	}
	return l.change(d, now)
}

func (m *Mesh) askForLoad(agent string, now time.Time) {
	key := "load of " + agent // no region has a space in its name
	if now.Sub(m.book.asked[key].at) < askAgain {
		return
	}
	evictAny(m.book.asked, 2*MaxRegions)
	m.book.asked[key] = asked{at: now}
	m.askReport(m.book.lan[agent], reportAsk{From: m.cfg.Name})
}

func (l *agentLoad) change(d *loadDelta, now time.Time) error {
	if n := len(d.Entries); n > 0 && d.Entries[n-1].id >= len(l.names) {
		return refuse(dropMalformed, ErrFrame, "load of agent %s names target %d of %d", d.Agent, d.Entries[n-1].id, len(l.names))
	}
	for _, e := range d.Entries {
		l.load.Targets[l.names[e.id]] = e.load
	}
	l.load.Draining, l.seq, l.arrived = d.Draining, d.Seq, now
	l.parts, l.told = nil, nil
	return nil
}

// loadTeller is what this agent told its gateways of its load.
type loadTeller struct {
	*teller
	table  uint64 // sequence of the whole load
	policy string
	rtts   map[string]time.Duration
	whole  time.Time // sent last
}

// covers says whether a delta can tell a load.
func (t *loadTeller) covers(load *Load, now time.Time) bool {
	return t.teller != nil && t.policy == load.PolicyVersion && t.teller.covers(load.Targets) &&
		(now.Sub(t.whole) < rttAgain || !rttsMoved(t.rtts, load.RTTs))
}

// sendLoad reports to the gateways: all of it once, then what changed. The
// report is also this agent's sign of life for them, so it goes out even when
// nothing was published; a gateway's is what its fellows know it by, and comes
// twice as often as those of others.
func (m *Mesh) sendLoad(now time.Time) {
	b := &m.book
	every := m.cfg.Timing.Load
	switch {
	case slices.Contains(b.gateways, m.cfg.Name):
	case len(b.lan) > relayAbove:
		every *= 3
	default:
		every *= 2
	}
	if now.Sub(b.loadSent) < every {
		return
	}
	b.loadSent = now
	b.loadSeq++
	load := *m.load.Load()
	b.loads[m.cfg.Name] = &agentLoad{life: m.life, seq: b.loadSeq, arrived: now, complete: true, load: load}
	to := m.fellows()
	if len(to) == 0 {
		return
	}
	older := slices.ContainsFunc(to, func(p *poolPeer) bool { return p.format < formatDelta })
	if older || !b.loadTold.covers(&load, now) {
		b.loadTold = loadTeller{newTeller(load.Targets), b.loadSeq, load.PolicyVersion, load.RTTs, now}
		m.sendWholeLoad(to, load, 0)
	} else {
		m.sendLoadDelta(to, &load)
		m.answerLoads(to, load)
	}
	clear(b.loadAsked)
}

func (m *Mesh) sendLoadDelta(to []*poolPeer, load *Load) {
	b, room := &m.book, loadBudget.among(len(m.book.lan))
	if slices.Contains(b.gateways, m.cfg.Name) {
		room = room.half()
	}
	d := loadDelta{m.loadOrigin(), b.loadTold.table, load.Draining, b.loadTold.next(load.Targets, len(b.lan), room)}
	m.send(sending{pool: m.lan, to: to, frame: m.signer.Load().seal(kindLoadDelta, d.encode()), topic: "load"})
}

// answerLoads gives all to those who lack the whole load.
func (m *Mesh) answerLoads(to []*poolPeer, load Load) {
	to = slices.DeleteFunc(slices.Clone(to), func(p *poolPeer) bool { return !m.book.loadAsked[p.node.Name] })
	if len(to) == 0 {
		return
	}
	t := &m.book.loadTold
	load.Targets = make(map[string]TargetLoad, len(t.names))
	for id, name := range t.names {
		load.Targets[name] = t.told[id]
	}
	m.book.loadSeq++
	m.sendWholeLoad(to, load, t.table)
}

func (m *Mesh) loadOrigin() origin {
	return origin{Agent: m.cfg.Name, Life: m.life, Seq: m.book.loadSeq}
}

func (m *Mesh) sendWholeLoad(to []*poolPeer, load Load, table uint64) {
	own := m.signer.Load()
	for _, payload := range splitLoad(m.loadOrigin(), load, table, maxDatagram-envelopeOverhead) {
		frame := own.seal(kindLoad, payload)
		m.send(sending{pool: m.lan, to: to, frame: frame, topic: "load", reliable: len(frame) > maxDatagram})
	}
}

// index numbers the targets of a whole load that is complete.
func (l *agentLoad) index(f *loadFrame) {
	l.names = slices.Sorted(maps.Keys(l.load.Targets))
	if l.table = f.Table; l.table == 0 {
		l.table = f.Seq
	}
}

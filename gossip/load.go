package gossip

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Reports of single agents open with the same fields: who, which life of the
// process, and a sequence within it. A replay from an earlier life, or of an
// older sequence, is refused.
const (
	fromName protowire.Number = 1
	fromLife protowire.Number = 2
	fromSeq  protowire.Number = 3
)

type origin struct {
	Agent string
	Life  uint64
	Seq   uint64
}

func (o *origin) encode(b []byte) []byte {
	b = appendText(b, fromName, o.Agent)
	b = appendFixed(b, fromLife, o.Life)
	return appendUint(b, fromSeq, o.Seq)
}

func (o *origin) take(f field) (err error) {
	switch {
	case f.is(fromName, protowire.BytesType):
		o.Agent, err = f.name("agent", MaxAgentName)
	case f.is(fromLife, protowire.Fixed64Type):
		o.Life = f.n
	case f.is(fromSeq, protowire.VarintType):
		o.Seq = f.n
	}
	return err
}

func (o *origin) check() error {
	if o.Agent == "" {
		return fmt.Errorf("%w: no origin", ErrFrame)
	}
	return nil
}

func peekOrigin(payload []byte) (origin, error) {
	var o origin
	if err := eachField(payload, o.take); err != nil {
		return origin{}, err
	}
	return o, o.check()
}

const (
	loadPart     protowire.Number = 4
	loadParts    protowire.Number = 5
	loadDraining protowire.Number = 6
	loadPolicy   protowire.Number = 7
	loadTarget   protowire.Number = 8
	loadRTT      protowire.Number = 9

	// Up to this many datagrams carry a load; a larger one goes as one
	// stream.
	maxLoadParts = 16
)

// loadFrame is a load, or one of several parts of it that share a sequence.
type loadFrame struct {
	origin
	Part, Parts int
	Table       uint64 // sequence of the load whose targets are numbered; 0: this one
	Load        Load
}

func (l *loadFrame) encode() []byte {
	b := l.origin.encode(make([]byte, 0, maxDatagram))
	b = appendCount(b, loadPart, l.Part)
	b = appendCount(b, loadParts, l.Parts)
	b = appendUint(b, loadTable, l.Table)
	b = appendBool(b, loadDraining, l.Load.Draining)
	b = appendText(b, loadPolicy, l.Load.PolicyVersion)
	b = appendRTTs(b, loadRTT, l.Load.RTTs)
	return appendTargets(b, loadTarget, l.Load.Targets)
}

func decodeLoad(payload []byte) (*loadFrame, error) {
	l := &loadFrame{Load: Load{Targets: make(map[string]TargetLoad), RTTs: make(map[string]time.Duration)}}
	err := eachField(payload, func(f field) (err error) {
		switch {
		case f.is(loadPart, protowire.VarintType):
			l.Part = f.count()
		case f.is(loadParts, protowire.VarintType):
			l.Parts = f.count()
		case f.is(loadTable, protowire.VarintType):
			l.Table = f.n
		case f.is(loadDraining, protowire.VarintType):
			l.Load.Draining = f.n != 0
		case f.is(loadPolicy, protowire.BytesType):
			l.Load.PolicyVersion, err = f.name("policy version", MaxPolicyVersion)
		case f.is(loadTarget, protowire.BytesType):
			err = takeTarget(l.Load.Targets, f.b)
		case f.is(loadRTT, protowire.BytesType):
			err = takeRTT(l.Load.RTTs, f.b)
		default:
			err = l.origin.take(f)
		}
		return err
	})
	if err == nil {
		err = l.check()
	}
	if err == nil && (l.Parts < 1 || l.Parts > maxLoadParts || l.Part >= l.Parts) {
		err = fmt.Errorf("%w: part %d of %d", ErrFrame, l.Part, l.Parts)
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return l, nil
}

// splitLoad cuts a load into payloads of at most limit bytes; when that takes
// more than maxLoadParts, it returns the whole as one.
func splitLoad(from origin, load Load, table uint64, limit int) [][]byte {
	whole := loadFrame{origin: from, Parts: 1, Table: table, Load: load}
	if b := whole.encode(); len(b) <= limit {
		return [][]byte{b}
	}
	room := limit - len((&loadFrame{origin: from, Part: maxLoadParts, Parts: maxLoadParts, Table: table,
		Load: Load{Draining: true, PolicyVersion: load.PolicyVersion, RTTs: load.RTTs}}).encode())
	groups := groupTargets(load.Targets, room)
	if len(groups) > maxLoadParts {
		return [][]byte{whole.encode()}
	}
	payloads := make([][]byte, len(groups))
	for i, targets := range groups {
		part := whole
		part.Part, part.Parts, part.Load.Targets = i, len(groups), targets
		payloads[i] = part.encode()
	}
	return payloads
}

func groupTargets(targets map[string]TargetLoad, room int) []map[string]TargetLoad {
	var groups []map[string]TargetLoad
	left := 0
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		size := len(appendBlob(nil, loadTarget, encodeTarget(name, targets[name])))
		if len(groups) == 0 || size > left {
			groups, left = append(groups, make(map[string]TargetLoad)), room
		}
		groups[len(groups)-1][name] = targets[name]
		left -= size
	}
	return groups
}

func (l *Load) check() error {
	if len(l.Targets) > MaxTargets {
		return fmt.Errorf("%w: load with %d targets: at most %d are allowed", ErrFrame, len(l.Targets), MaxTargets)
	}
	if l.PolicyVersion != "" {
		if err := checkName("policy version", l.PolicyVersion, MaxPolicyVersion); err != nil {
			return fmt.Errorf("%w: load: %w", ErrFrame, err)
		}
	}
	if len(l.RTTs) > MaxRTTs {
		return fmt.Errorf("%w: load with distances to %d regions: at most %d are allowed", ErrFrame, len(l.RTTs), MaxRTTs)
	}
	for name := range l.RTTs {
		if err := checkName("region", name, MaxRegionName); err != nil {
			return fmt.Errorf("%w: load: %w", ErrFrame, err)
		}
	}
	for name := range l.Targets {
		if err := checkName("target", name, MaxTarget); err != nil {
			return fmt.Errorf("%w: load: %w", ErrFrame, err)
		}
	}
	return nil
}

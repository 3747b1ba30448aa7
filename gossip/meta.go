package gossip

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Meta is what every agent is told of another through its pool: ≤ MaxMeta
// bytes on the wire.
type Meta struct {
	Name, Region, Group string
	MeshAddr            string // "host:port" of the mesh listener (UDP and TCP); ≤ MaxAddress
	EdgeAddr            string // "host:port" of the edge listener; ≤ MaxAddress
	Version             string // of the program; ≤ MaxPolicyVersion bytes
	Draining            bool
}

const (
	metaRegion   protowire.Number = 1
	metaGroup    protowire.Number = 2
	metaMesh     protowire.Number = 3
	metaEdge     protowire.Number = 4
	metaVersion  protowire.Number = 5
	metaDraining protowire.Number = 6
	metaLife     protowire.Number = 7
	metaFormat   protowire.Number = 8
)

// Formats of reports an agent reads. Agents of an earlier version say nothing.
const (
	formatWhole = 1 // whole loads and vectors
	formatDelta = 2 // also what changed since, and several frames in one message
	formatRelay = 3 // also passes on what is for a group
)

// running is what an agent announces of its process beside its Meta.
type running struct {
	life   uint64 // tells it from earlier runs
	format uint64
}

// encode leaves out the name, which memberlist carries. life tells this run of
// the process from earlier ones.
func (m *Meta) encode(life uint64) []byte {
	b := appendText(make([]byte, 0, MaxMeta), metaRegion, m.Region)
	b = appendText(b, metaGroup, m.Group)
	b = appendText(b, metaMesh, m.MeshAddr)
	b = appendText(b, metaEdge, m.EdgeAddr)
	b = appendText(b, metaVersion, m.Version)
	b = appendBool(b, metaDraining, m.Draining)
	b = appendFixed(b, metaLife, life)
	return appendUint(b, metaFormat, formatRelay)
}

func decodeMeta(name string, b []byte) (m Meta, run running, err error) {
	run.format = formatWhole
	if len(b) > MaxMeta {
		return Meta{}, run, fmt.Errorf("%w: metadata of %d bytes", ErrFrame, len(b))
	}
	if err := checkName("agent", name, MaxAgentName); err != nil {
		return Meta{}, run, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	m.Name = name
	err = eachField(b, func(f field) (err error) {
		switch {
		case f.is(metaRegion, protowire.BytesType):
			m.Region, err = f.name("region", MaxRegionName)
		case f.is(metaGroup, protowire.BytesType):
			m.Group, err = f.name("group", MaxRegionName)
		case f.is(metaMesh, protowire.BytesType):
			m.MeshAddr, err = f.name("mesh address", MaxAddress)
		case f.is(metaEdge, protowire.BytesType):
			m.EdgeAddr, err = f.name("edge address", MaxAddress)
		case f.is(metaVersion, protowire.BytesType):
			m.Version, err = f.name("version", MaxPolicyVersion)
		case f.is(metaDraining, protowire.VarintType):
			m.Draining = f.n != 0
		case f.is(metaLife, protowire.Fixed64Type):
			run.life = f.n
		case f.is(metaFormat, protowire.VarintType):
			run.format = f.n
		}
		return err
	})
	if err == nil && m.Region == "" {
		err = fmt.Errorf("%w: metadata of agent %s names no region", ErrFrame, name)
	}
	return m, run, err
}

func (m *Meta) check() error {
	optional := []struct {
		what, value string
		limit       int
	}{
		{"group", m.Group, MaxRegionName},
		{"mesh address", m.MeshAddr, MaxAddress},
		{"edge address", m.EdgeAddr, MaxAddress},
		{"program version", m.Version, MaxPolicyVersion},
	}
	for _, o := range optional {
		if o.value == "" {
			continue
		}
		if err := checkName(o.what, o.value, o.limit); err != nil {
			return err
		}
	}
	return nil
}

func (b Bind) check() error {
	host, _, err := splitHostPort(b.Addr)
	if err != nil {
		return fmt.Errorf("bind address %q: %w", b.Addr, err)
	}
	ip := net.ParseIP(host)
	if host != "" && ip == nil {
		return fmt.Errorf("bind address %q: the host must be an IP address", b.Addr)
	}
	if b.Advertise == "" {
		if ip != nil && ip.IsUnspecified() && ip.To4() == nil {
			return fmt.Errorf("bind address %q is unspecified: say what to advertise", b.Addr)
		}
		return nil
	}
	host, port, err := splitHostPort(b.Advertise)
	if err != nil || host == "" || port == 0 {
		return errors.Join(fmt.Errorf("advertised address %q needs a host and a port", b.Advertise), err)
	}
	return nil
}

func splitHostPort(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", text)
	}
	return host, int(n), nil
}

package gossip

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	vectorAgent  protowire.Number = 7
	vectorTarget protowire.Number = 8

	agentName     protowire.Number = 1
	agentMesh     protowire.Number = 2
	agentEdge     protowire.Number = 3
	agentWAN      protowire.Number = 4
	agentDraining protowire.Number = 5
	agentVersion  protowire.Number = 6

	targetName     protowire.Number = 1
	targetReady    protowire.Number = 2
	targetInFlight protowire.Number = 3
)

func encodeVector(v *Vector) []byte {
	h := head{v.Region, v.Group, v.Version, v.Draining, v.PolicyVersion}
	b := h.encode(nil)
	for i := range v.Agents {
		b = appendBlob(b, vectorAgent, v.Agents[i].encode())
	}
	return appendTargets(b, vectorTarget, v.Targets)
}

// appendTargets writes targets in order of their names, so that equal content
// has equal bytes.
func appendTargets(b []byte, num protowire.Number, targets map[string]TargetLoad) []byte {
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		b = appendBlob(b, num, encodeTarget(name, targets[name]))
	}
	return b
}

func encodeTarget(name string, t TargetLoad) []byte {
	b := appendText(make([]byte, 0, len(name)+16), targetName, name)
	b = appendCount(b, targetReady, t.Ready)
	return appendCount(b, targetInFlight, t.InFlight)
}

func (a *AgentInfo) encode() []byte {
	b := appendText(nil, agentName, a.Name)
	b = appendText(b, agentMesh, a.MeshAddr)
	b = appendText(b, agentEdge, a.EdgeAddr)
	b = appendText(b, agentWAN, a.WANAddr)
	b = appendText(b, agentVersion, a.Version)
	return appendBool(b, agentDraining, a.Draining)
}

func decodeVector(payload []byte) (*Vector, error) {
	v := &Vector{Targets: make(map[string]TargetLoad)}
	var h head
	err := eachField(payload, func(f field) error {
		switch {
		case f.is(vectorAgent, protowire.BytesType):
			return v.takeAgent(f.b)
		case f.is(vectorTarget, protowire.BytesType):
			return takeTarget(v.Targets, f.b)
		}
		return h.take(f)
	})
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return nil, fmt.Errorf("vector: %w", err)
	}
	v.Region, v.Group, v.Version, v.Draining, v.PolicyVersion = h.Region, h.Group, h.Version, h.Draining, h.PolicyVersion
	return v, nil
}

func (v *Vector) takeAgent(b []byte) error {
	if len(v.Agents) >= MaxAgents {
		return fmt.Errorf("%w: more than %d agents", ErrFrame, MaxAgents)
	}
	var a AgentInfo
	err := eachField(b, func(f field) (err error) {
		switch {
		case f.is(agentName, protowire.BytesType):
			a.Name, err = f.name("agent", MaxAgentName)
		case f.is(agentMesh, protowire.BytesType):
			a.MeshAddr, err = f.name("mesh address", MaxAddress)
		case f.is(agentEdge, protowire.BytesType):
			a.EdgeAddr, err = f.name("edge address", MaxAddress)
		case f.is(agentWAN, protowire.BytesType):
			a.WANAddr, err = f.name("WAN address", MaxAddress)
		case f.is(agentVersion, protowire.BytesType):
			a.Version, err = f.name("version", MaxPolicyVersion)
		case f.is(agentDraining, protowire.VarintType):
			a.Draining = f.n != 0
		}
		return err
	})
	if err == nil && a.Name == "" {
		err = fmt.Errorf("%w: an agent without a name", ErrFrame)
	}
	v.Agents = append(v.Agents, a)
	return err
}

func takeTarget(targets map[string]TargetLoad, b []byte) error {
	var name string
	var t TargetLoad
	err := eachField(b, func(f field) (err error) {
		switch {
		case f.is(targetName, protowire.BytesType):
			name, err = f.name("target", MaxTarget)
		case f.is(targetReady, protowire.VarintType):
			t.Ready = f.count()
		case f.is(targetInFlight, protowire.VarintType):
			t.InFlight = f.count()
		}
		return err
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

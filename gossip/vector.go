package gossip

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	vectorAgent  protowire.Number = 7
	vectorTarget protowire.Number = 8
	vectorRTT    protowire.Number = 9

	agentName     protowire.Number = 1
	agentMesh     protowire.Number = 2
	agentEdge     protowire.Number = 3
	agentWAN      protowire.Number = 4
	agentDraining protowire.Number = 5
	agentVersion  protowire.Number = 6
)

func encodeVector(v *Vector) []byte {
	h := head{v.Region, v.Group, v.Version, v.Draining, v.PolicyVersion}
	b := h.encode(nil)
	for i := range v.Agents {
		b = appendBlob(b, vectorAgent, v.Agents[i].encode())
	}
	b = appendTargets(b, vectorTarget, v.Targets)
	return appendRTTs(b, vectorRTT, v.RTTs)
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
	v := &Vector{Targets: make(map[string]TargetLoad), RTTs: make(map[string]time.Duration)}
	var h head
	err := eachField(payload, func(f field) error {
		switch {
		case f.is(vectorAgent, protowire.BytesType):
			return v.takeAgent(f.b)
		case f.is(vectorTarget, protowire.BytesType):
			return takeTarget(v.Targets, f.b)
		case f.is(vectorRTT, protowire.BytesType):
			return takeRTT(v.RTTs, f.b)
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

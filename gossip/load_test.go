package gossip

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"
)

func manyTargets(n int) map[string]TargetLoad {
	targets := make(map[string]TargetLoad, n)
	for i := range n {
		targets[fmt.Sprintf("service-%05d/subset", i)] = TargetLoad{Ready: i, InFlight: 2 * i}
	}
	return targets
}

func TestLargeLoadIsSplitOverDatagramsAndPutTogether(t *testing.T) {
	from := origin{Agent: longest(MaxAgentName), Life: 7, Seq: 9}
	load := Load{Targets: manyTargets(300), Draining: true, PolicyVersion: longest(MaxPolicyVersion)}
	limit := maxDatagram - envelopeOverhead
	payloads := splitLoad(from, load, 0, limit)
	if len(payloads) < 2 || len(payloads) > maxLoadParts {
		t.Fatalf("%d parts", len(payloads))
	}
	held := &agentLoad{life: from.Life}
	now := time.Now()
	for i := range payloads {
		payload := payloads[len(payloads)-1-i] // in any order
		if len(payload) > limit {
			t.Errorf("a part has %d bytes, the limit is %d", len(payload), limit)
		}
		f, err := decodeLoad(payload)
		if err != nil {
			t.Fatal(err)
		}
		if held.complete {
			t.Fatal("complete before the last part")
		}
		if err := held.add(f, now); err != nil {
			t.Fatal(err)
		}
	}
	if !held.complete || !maps.Equal(held.load.Targets, load.Targets) || !held.load.Draining || held.load.PolicyVersion != load.PolicyVersion {
		t.Errorf("put together: %d targets, %+v", len(held.load.Targets), held.complete)
	}
}

func TestLostPartKeepsTheEarlierLoad(t *testing.T) {
	now := time.Now()
	held := &agentLoad{}
	whole := &loadFrame{origin: origin{"a", 1, 1}, Parts: 1, Load: Load{Targets: manyTargets(1)}}
	half := &loadFrame{origin: origin{"a", 1, 2}, Parts: 2, Load: Load{Targets: manyTargets(3)}}
	next := &loadFrame{origin: origin{"a", 1, 3}, Parts: 1, Load: Load{Targets: manyTargets(2)}}
	for want, f := range []*loadFrame{whole, half, next} {
		if err := held.add(f, now.Add(time.Duration(want))); err != nil {
			t.Fatal(err)
		}
		if n := len(held.load.Targets); n != []int{1, 1, 2}[want] {
			t.Errorf("after frame %d: %d targets", want+1, n)
		}
	}
	if !held.arrived.Equal(now.Add(2)) {
		t.Errorf("arrived %v", held.arrived.Sub(now))
	}
}

func TestHugeLoadGoesAsOneStream(t *testing.T) {
	payloads := splitLoad(origin{"a", 1, 1}, Load{Targets: manyTargets(2_000)}, 0, maxDatagram-envelopeOverhead)
	if len(payloads) != 1 {
		t.Errorf("%d parts", len(payloads))
	}
}

func TestBadLoadIsNotPublished(t *testing.T) {
	f := newFleet(t)
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]Load{
		"too many targets": {Targets: manyTargets(MaxTargets + 1)},
		"bad target name":  {Targets: map[string]TargetLoad{"a b": {}}},
		"policy version":   {PolicyVersion: longest(MaxPolicyVersion + 1)},
	} {
		if err := m.Publish(load); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.load.Load().Targets != nil {
		t.Error("a refused load was kept")
	}
}

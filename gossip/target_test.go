package gossip

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func fullTarget() TargetLoad {
	return TargetLoad{Ready: 3, InFlight: 5, Capacity: 812.25, Demand: [4]float64{1.5, 0, 20, 300},
		Threshold: 700, QueueWait: 12 * time.Millisecond}
}

func TestWhatAnAgentSaysOfATargetArrives(t *testing.T) {
	said := Load{Targets: map[string]TargetLoad{"s": fullTarget()}, RTTs: map[string]time.Duration{"us-1": 81 * time.Millisecond}}
	l, err := decodeLoad((&loadFrame{origin: origin{"a", 1, 1}, Parts: 1, Load: said}).encode())
	if err != nil || l.Load.Targets["s"] != fullTarget() || l.Load.RTTs["us-1"] != 81*time.Millisecond {
		t.Errorf("load: %+v, %v", l, err)
	}
	v, err := decodeVector(encodeVector(&Vector{Region: "eu-1", Version: Version{1, 1}, Targets: said.Targets, RTTs: said.RTTs}))
	if err != nil || v.Targets["s"] != fullTarget() || v.RTTs["us-1"] != 81*time.Millisecond {
		t.Errorf("vector: %+v, %v", v, err)
	}
}

func TestAbsurdNumbersAreNotSaid(t *testing.T) {
	absurd := TargetLoad{Ready: -1, InFlight: -7, Capacity: math.Inf(1), Demand: [4]float64{math.NaN(), -5, 1e300, 2}, QueueWait: -time.Second}
	targets := map[string]TargetLoad{}
	if err := takeTarget(targets, encodeTarget("s", absurd)); err != nil {
		t.Fatal(err)
	}
	want := TargetLoad{Capacity: maxRate, Demand: [4]float64{0, 0, maxRate, 2}}
	if got := targets["s"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := rounded(absurd); math.Abs(got.Capacity/maxRate-1) > 0.001 || got.Demand[0] != 0 || got.Demand[1] != 0 || math.Abs(got.Demand[2]/maxRate-1) > 0.001 || got.Ready != 0 || got.QueueWait != 0 {
		t.Errorf("in a delta: %+v", got)
	}
}

func TestAbsurdNumbersAreRefusedAndCounted(t *testing.T) {
	huge := map[string][]byte{
		"capacity":  appendUint(nil, targetCapacity, math.MaxUint64),
		"demand":    appendBlob(nil, targetDemand, protowire.AppendVarint(nil, math.MaxUint64)),
		"threshold": appendUint(nil, targetThreshold, math.MaxUint64),
		"wait":      appendUint(nil, targetWait, math.MaxUint64),
	}
	for what, b := range huge {
		if err := takeTarget(map[string]TargetLoad{}, append(b, appendText(nil, targetName, "s")...)); reasonOf(err) != dropAbsurd || !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", what, err)
		}
	}
	v := newVictim(t)
	s := v.speaker("us-1")
	target := appendBlob(nil, vectorTarget, append(appendText(nil, targetName, "s"), huge["capacity"]...))
	v.expectDrop(dropAbsurd, withCert(s.sign, kindVector, append(encodeVector(&Vector{Region: "us-1", Version: Version{1, 1}}), target...)))
	far := appendUint(appendText(nil, rttRegion, "eu-2"), rttMicros, math.MaxUint64)
	v.expectDrop(dropAbsurd, withCert(s.sign, kindVector, append(encodeVector(&Vector{Region: "us-1", Version: Version{1, 1}}), appendBlob(nil, vectorRTT, far)...)))
}

func TestTornNumbersAreRefused(t *testing.T) {
	torn := appendBlob(appendText(nil, targetName, "s"), targetDemand, []byte{0x80})
	if err := takeTarget(map[string]TargetLoad{}, torn); !errors.Is(err, ErrFrame) {
		t.Errorf("demand: %v", err)
	}
	if err := takeRTT(map[string]time.Duration{}, appendUint(nil, rttMicros, 5)); !errors.Is(err, ErrFrame) {
		t.Errorf("distance to nowhere: %v", err)
	}
	full := map[string]time.Duration{}
	for i := range MaxRTTs {
		full[fmt.Sprint(i)] = time.Millisecond
	}
	if err := takeRTT(full, appendText(nil, rttRegion, "one-more")); !errors.Is(err, ErrFrame) {
		t.Errorf("too many distances: %v", err)
	}
}

func TestNewerAgentsMayKnowMoreClasses(t *testing.T) {
	packed := []byte{}
	for n := range uint64(6) {
		packed = protowire.AppendVarint(packed, n*perRate)
	}
	if demand, err := demandOf(packed); err != nil || demand != [4]float64{0, 1, 2, 3} {
		t.Errorf("%v, %v", demand, err)
	}
}

func TestRegionIsTheSumOfItsAgents(t *testing.T) {
	sum := map[string]TargetLoad{}
	addTargets(sum, map[string]TargetLoad{"s": {Ready: 3, InFlight: 1, Capacity: 10, Demand: [4]float64{1, 2, 3, 4}, Threshold: 5, QueueWait: time.Second}})
	addTargets(sum, map[string]TargetLoad{"s": {Ready: 2, InFlight: 2, Capacity: 20, Demand: [4]float64{1, 1, 1, 1}, Threshold: 9, QueueWait: time.Millisecond}})
	want := TargetLoad{Ready: 3, InFlight: 3, Capacity: 30, Demand: [4]float64{2, 3, 4, 5}, Threshold: 9, QueueWait: time.Second}
	if sum["s"] != want {
		t.Errorf("%+v, want %+v", sum["s"], want)
	}
	near := map[string]time.Duration{}
	for _, rtt := range []time.Duration{30, 0, 20, 40} {
		addRTTs(near, map[string]time.Duration{"us-1": rtt})
	}
	if near["us-1"] != 20 {
		t.Errorf("distance %d", near["us-1"])
	}
}

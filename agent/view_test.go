package agent

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/gossip"
	"github.com/tidegate/tidegate/policy"
)

func parsePolicy(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(`
service "svc" {
  subset "canary" {
    tags = ["canary"]
  }
}
`)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestViewJoinsCatalogPolicyAndReports(t *testing.T) {
	now := time.Now()
	vector := &gossip.Vector{Region: "eu-2", Group: "eu", PolicyVersion: "abc",
		Agents:  []gossip.AgentInfo{{Name: "a2", MeshAddr: "10.0.0.2:7444"}},
		Targets: map[string]gossip.TargetLoad{"svc": {Ready: 3, InFlight: 4}}}
	v := join(inputs{
		unready: func(string) bool { return false },
		policy:  parsePolicy(t),
		catalog: &catalog.Snapshot{Services: map[string][]catalog.Instance{"svc": {
			{ID: "i1", Address: "10.0.0.1:80", Tags: []string{"canary"}},
			{ID: "i2", Address: "10.0.0.1:81", Status: catalog.Critical},
			{ID: "i3", Address: "10.0.0.1:82", Status: catalog.Distrusted},
		}}},
		gossip: &gossip.State{
			Members: []gossip.Member{{Meta: gossip.Meta{Name: "a1"}}},
			Regions: map[string]gossip.RegionInfo{"eu-1": {Region: "eu-1"}, "eu-2": {Region: "eu-2", Vector: vector, VectorArrived: now}},
		},
		rtt:       map[string]time.Duration{"eu-2": 20 * time.Millisecond},
		instances: policy.NewInstanceTable(),
		self:      gossip.Meta{Name: "a1", Region: "eu-1", Group: "eu"},
	}, now)
	if got := v.Local["svc"].Load(now).Ready; got != 1 {
		t.Errorf("%d instances of svc ready, want 1: critical and distrusted ones do not count", got)
	}
	if got := len(v.Local["svc/canary"].Instances); got != 1 {
		t.Errorf("the subset has %d instances, want 1", got)
	}
	if _, own := v.Regions["eu-1"]; own || len(v.Regions) != 1 {
		t.Errorf("other regions: %v, want eu-2 alone", v.Regions)
	}
	r := v.Regions["eu-2"]
	if r.State != policy.RegionAlive || r.RTT != 20*time.Millisecond || r.Ready["svc"].Ready != 3 || r.Group != "eu" || len(r.Agents) != 1 {
		t.Errorf("eu-2: %+v", r)
	}
}

func TestRegionStateTakesTheWorstThatIsKnown(t *testing.T) {
	vector := &gossip.Vector{Region: "r"}
	cases := []struct {
		name string
		info gossip.RegionInfo
		down []string
		want policy.RegionState
	}{
		{"nothing reported", gossip.RegionInfo{Region: "r"}, nil, policy.RegionUnknown},
		{"reported", gossip.RegionInfo{Region: "r", Vector: vector}, nil, policy.RegionAlive},
		{"drains by its vector", gossip.RegionInfo{Region: "r", Vector: &gossip.Vector{Draining: true}}, nil, policy.RegionDraining},
		{"drains by its newer digest", gossip.RegionInfo{Region: "r", Vector: vector, Digest: &gossip.Digest{Draining: true}}, nil, policy.RegionDraining},
		{"down", gossip.RegionInfo{Region: "r", Vector: vector}, []string{"q", "r"}, policy.RegionDown},
		{"another is down", gossip.RegionInfo{Region: "r", Vector: vector}, []string{"q"}, policy.RegionAlive},
	}
	for _, c := range cases {
		if got := regionState(c.info, c.down); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRegionDrainsWhenAllItsAgentsDo(t *testing.T) {
	on, off := gossip.Member{Meta: gossip.Meta{Draining: true}}, gossip.Member{}
	for _, c := range []struct {
		members []gossip.Member
		want    bool
	}{{nil, false}, {[]gossip.Member{on}, true}, {[]gossip.Member{on, off}, false}, {[]gossip.Member{on, on}, true}} {
		if got := allDrain(c.members); got != c.want {
			t.Errorf("%d members: %v, want %v", len(c.members), got, c.want)
		}
	}
}

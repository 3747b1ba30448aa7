package test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
	"github.com/tidegate/tidegate/test/mesh"
)

// TestConsulTokenLosesItsRights: Consul then answers 200 and an empty list, or
// 403. The agent works with the rights that deploy ships, and on what it knew
// when they are gone.
func TestConsulTokenLosesItsRights(t *testing.T) {
	server := consultest.Start(t, consultest.Config{DC: "eu-1", ACL: true})
	rules, err := os.ReadFile("../deploy/consul/acl-policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	acl := server.Client().ACL()
	rights, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: "tidegate-agent", Rules: string(rules)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := acl.TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: rights.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := mesh.Alone(t, server, policySource, token.SecretID)
	agent := m.Agents()[0]
	serveDepot(t, m.Regions[0])
	m.Start(t)
	m.AwaitWhole(t)
	awaitPassing(t, agent)

	traffic := mesh.StartTraffic(t, "/depot", 50, agent)
	began := time.Now()
	grant := func(rules string) {
		t.Helper()
		rights.Rules = rules
		if _, _, err := acl.PolicyUpdate(rights, nil); err != nil {
			t.Fatal(err)
		}
	}
	grant("")
	awaitRightsLost(t, agent)
	traffic.AwaitSent(time.Now(), 50)
	grant(string(rules))
	m.AwaitWhole(t)
	awaitPassing(t, agent)
	if _, err := acl.TokenDelete(token.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	awaitRightsLost(t, agent)
	traffic.AwaitSent(time.Now(), 50)
	traffic.Stop()
	mesh.NoneFailed(t, "whatever the token may do", traffic.Since(began))
	agent.Terminate()
	if status := agent.Exit(t, 12*time.Second); status != 0 {
		t.Errorf("without rights to deregister, %s exits with %d", agent.Name, status)
	}
	if strings.Contains(string(agent.Log()), token.SecretID) {
		t.Error("the agent's log holds its Consul token")
	}
}

// awaitRightsLost: the loss is visible, and nothing else is. Consul goes on
// answering from the stream that a token opened before it looks at the token
// again: mostly for seconds, at times for a minute (seen with 1.14.11).
func awaitRightsLost(t *testing.T, a *mesh.Agent) {
	t.Helper()
	awaitStale(t, a, 150*time.Second)
	ans := a.Services(t)
	for _, s := range ans.Services {
		if s.Name == "depot" && s.Ready != 2 {
			t.Errorf("without rights %s has %d ready instances of 2 it knew: %+v", a.Name, s.Ready, s)
		}
	}
	var policy admin.PolicyAnswer
	if err := a.Get(admin.PathPolicy, &policy); err != nil || policy.Version == "" || policy.Refused != nil {
		t.Errorf("without rights the policy is %+v, %v", policy, err)
	}
	t.Logf("seen at %s: %s", a.Name, ans.Catalog.Error)
}

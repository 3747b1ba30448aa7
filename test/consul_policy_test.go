package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/mesh"
)

// greeting is the policy with another answer to /hello.
func greeting(text string) string {
	return strings.Replace(policySource, "this is the edge", text, 1)
}

// awaitGreeting waits until the edges of regions answer with a policy.
func awaitGreeting(t *testing.T, text string, regions ...*mesh.Region) {
	t.Helper()
	for _, r := range regions {
		for _, a := range r.Agents {
			device := a.Device(t, "", nil)
			mesh.Await(t, 10*time.Second, func() string {
				if ans := device.Get(t, "/hello"); ans.Body != text+"\n" {
					return fmt.Sprintf("%s says %q, not %q", a.Name, ans.Body, text)
				}
				return ""
			})
		}
	}
}

func policyIsAppliedEverywhere(t *testing.T, b *broken) {
	a := b.eu2.Agents[1]
	inFlight := b.hold(t, a.Device(t, "", nil).Try)
	source := strings.Replace(greeting("new policy"), `path = "/slow"`, `path = "/no-longer"`, 1)
	applied := mesh.JSON[admin.PolicyApplied](t, a, "policy", "apply", mesh.File(t, "policy.hcl", source))
	if names := datacenters(applied, false); !slices.Equal(names, []string{"eu-1", "eu-2", "us-1"}) || len(datacenters(applied, true)) != 0 {
		t.Errorf("applied: %+v", applied)
	}
	awaitGreeting(t, "new policy", b.Regions...)
	if ans := a.Device(t, "", nil).Get(t, "/slow"); ans.Status != http.StatusNotFound {
		t.Errorf("a route that is gone: %s", ran(ans))
	}
	b.slow.Release()
	if got := <-inFlight; got.err != nil || got.answer.ServedBy() != "eu-1/slow-1" {
		t.Errorf("the request in flight keeps the policy it started with, but: %+v, %v", got.answer, got.err)
	}
	for _, agent := range b.Agents() {
		if out := agent.Command(t, "policy", "get"); out.Status != 0 || strings.TrimSpace(out.Stdout) != strings.TrimSpace(source) ||
			!strings.Contains(out.Stderr, applied.Version) {
			t.Errorf("policy get of %s: exit status %d\n%s%s", agent.Name, out.Status, out.Stderr, out.Stdout)
		}
	}
	if out := a.Command(t, "policy", "apply", mesh.File(t, "policy.hcl", policySource)); out.Status != 0 || !listsAll(out.Stdout) {
		t.Errorf("policy apply: exit status %d\n%s%s", out.Status, out.Stdout, out.Stderr)
	}
	awaitGreeting(t, "this is the edge", b.Regions...)
}

func listsAll(table string) bool {
	return strings.Contains(table, "eu-1") && strings.Contains(table, "eu-2") && strings.Contains(table, "us-1")
}

// datacenters lists those that were written, or those that were not.
func datacenters(applied admin.PolicyApplied, failed bool) []string {
	var names []string
	for _, dc := range applied.Datacenters {
		if (dc.Error != "") == failed {
			names = append(names, dc.Name)
		}
	}
	return names
}

func badPolicyIsRefused(t *testing.T, b *broken) {
	bad := strings.Replace(greeting("bad policy"), "weight  = 80", "weight  = 81", 1)
	lines := strings.Split(bad, "\n")
	fault := 1 + slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `route "split"`) })
	out := b.us1.Agents[0].Command(t, "policy", "apply", mesh.File(t, "bad.hcl", bad))
	if out.Status != 2 || !strings.Contains(out.Stderr, "bad.hcl:") || !strings.Contains(out.Stderr, "101") {
		t.Errorf("policy apply of a bad policy: exit status %d\n%s%s", out.Status, out.Stdout, out.Stderr)
	}
	b.eu1.PutPolicy(t, bad)
	for _, a := range b.eu1.Agents {
		var ans admin.PolicyAnswer
		mesh.Await(t, 10*time.Second, func() string {
			if err := a.Get(admin.PathPolicy, &ans); err != nil || ans.Refused == nil {
				return fmt.Sprintf("%s refuses the policy: %+v, %v", a.Name, ans.Refused, err)
			}
			return ""
		})
		found := ans.Refused.Diagnostics
		if len(found) != 1 || found[0].Line < fault || found[0].Line > fault+15 || found[0].Text != lines[found[0].Line-1] {
			t.Errorf("%s refuses with %+v, want one fault in or after line %d: %s", a.Name, found, fault, lines[fault-1])
		}
		if out := a.Command(t, "policy", "get"); !strings.Contains(out.Stderr, "refused") || strings.Contains(out.Stdout, "bad policy") {
			t.Errorf("policy get of %s: exit status %d\n%s%s", a.Name, out.Status, out.Stderr, out.Stdout)
		}
	}
	awaitGreeting(t, "this is the edge", b.Regions...)
	b.eu1.PutPolicy(t, policySource)
	for _, a := range b.eu1.Agents {
		mesh.Await(t, 10*time.Second, func() string {
			var ans admin.PolicyAnswer
			if err := a.Get(admin.PathPolicy, &ans); err != nil || ans.Refused != nil {
				return fmt.Sprintf("%s takes a good policy after a bad one: %+v, %v", a.Name, ans.Refused, err)
			}
			return ""
		})
	}
}

func stragglersAreReported(t *testing.T, b *broken) {
	a, file := b.eu1.Agents[0], mesh.File(t, "policy.hcl", greeting("newer policy"))
	b.us1.Consul.Kill()
	out := a.Command(t, "policy", "apply", "--json", file)
	var applied admin.PolicyApplied
	if err := json.Unmarshal([]byte(out.Stdout), &applied); err != nil {
		t.Fatalf("policy apply: %v: exit status %d\n%s%s", err, out.Status, out.Stdout, out.Stderr)
	}
	if out.Status != 1 || !slices.Equal(datacenters(applied, true), []string{"us-1"}) || !slices.Equal(datacenters(applied, false), []string{"eu-1", "eu-2"}) {
		t.Errorf("policy apply without us-1: exit status %d, %+v\n%s", out.Status, applied, out.Stderr)
	}
	awaitGreeting(t, "newer policy", b.eu1, b.eu2)
	awaitGreeting(t, "this is the edge", b.us1)
	b.us1.Consul.Restart()
	mesh.Await(t, 30*time.Second, func() string {
		if out := a.Command(t, "policy", "apply", file); out.Status != 0 {
			return "apply again: " + out.Stdout + out.Stderr
		}
		return ""
	})
	awaitGreeting(t, "newer policy", b.Regions...)
}

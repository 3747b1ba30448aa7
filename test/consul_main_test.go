package test

import (
	_ "embed"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/test/mesh"
)

//go:embed testdata/consul.hcl
var policySource string

func TestMain(m *testing.M) {
	status := m.Run()
	mesh.RemoveBinary()
	if status == 0 {
		// A probe of memberlist may outlive its Shutdown by a timeout.
		if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode")); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			status = 1
		}
	}
	os.Exit(status)
}

// wholeMesh is a mesh of three regions with two agents each, whole, and its
// services: echo everywhere, depot in eu-1 and us-1.
func wholeMesh(t *testing.T) *mesh.Mesh {
	t.Helper()
	m := mesh.New(t, mesh.Config{Policy: policySource})
	for _, r := range m.Regions {
		serveEcho(t, r)
	}
	for _, name := range []string{"eu-1", "us-1"} {
		serveDepot(t, m.Region(name))
	}
	m.Start(t)
	m.AwaitWhole(t)
	return m
}

func serveEcho(t *testing.T, r *mesh.Region) {
	t.Helper()
	r.Serve(t, mesh.Spec{Service: "echo", ID: "echo-stable", Tags: []string{"stable"}, Meta: map[string]string{"version": "1"}})
	r.Serve(t, mesh.Spec{Service: "echo", ID: "echo-canary", Tags: []string{"canary"}, Meta: map[string]string{"version": "2"}})
}

func serveDepot(t *testing.T, r *mesh.Region) []*mesh.Instance {
	t.Helper()
	return []*mesh.Instance{
		r.Serve(t, mesh.Spec{Service: "depot", ID: "depot-1"}),
		r.Serve(t, mesh.Spec{Service: "depot", ID: "depot-2"}),
	}
}

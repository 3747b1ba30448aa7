package mesh

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"
)

// Spec is one instance of a service.
type Spec struct {
	Service, ID string
	Tags        []string
	Meta        map[string]string
}

// Instance is an HTTP server registered in its region's Consul with a check of
// /health. It answers everything else with what it saw.
type Instance struct {
	spec   Spec
	region *Region
	addr   string
	end    func() // nil: another program serves

	healthy    atomic.Bool
	registered atomic.Bool
	requests   atomic.Int64

	arrived chan struct{} // a request with ?hold came in
	release chan struct{} // it may be answered
}

// Echo is what an instance saw of a request.
type Echo struct {
	Region, Instance          string
	Method, Path, Query, Host string
	Header                    http.Header
	Body                      string
}

// Serve starts an instance and registers it; both end with the test.
func (r *Region) Serve(t testing.TB, spec Spec) *Instance {
	t.Helper()
	listener, err := net.Listen("tcp", join(r.IP, 0))
	if err != nil {
		t.Fatalf("serve %s: %v", spec.ID, err)
	}
	i := &Instance{
		spec: spec, region: r, addr: listener.Addr().String(),
		arrived: make(chan struct{}, 16), release: make(chan struct{}),
	}
	i.healthy.Store(true)
	i.serve(listener)
	t.Cleanup(i.Crash)
	i.enlist(t)
	return i
}

func (i *Instance) serve(listener net.Listener) {
	server := &http.Server{Handler: i}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	i.end = func() {
		_ = server.Close()
		<-ended
	}
}

// Crash ends the instance and all its connections; Consul is not told.
func (i *Instance) Crash() {
	i.healthy.Store(false)
	i.end()
}

// Revive serves again after a Crash, at the same address.
func (i *Instance) Revive(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", i.addr)
	if err != nil {
		t.Fatalf("serve %s again: %v", i.spec.ID, err)
	}
	i.serve(listener)
	i.healthy.Store(true)
}

func (i *Instance) enlist(t testing.TB) {
	t.Helper()
	i.Register(t)
	m := i.region.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances = append(m.instances, i)
	t.Cleanup(i.delist)
}

// delist forgets the instance when its test is over; Consul may be gone by then.
func (i *Instance) delist() {
	_ = i.region.Consul.Client().Agent().ServiceDeregister(i.spec.ID)
	m := i.region.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances = slices.DeleteFunc(m.instances, func(other *Instance) bool { return other == i })
}

// Register registers the instance in its region's Consul, again when it is.
func (i *Instance) Register(t testing.TB) {
	t.Helper()
	host, port, err := net.SplitHostPort(i.addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	err = i.region.Consul.Client().Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: i.spec.ID, Name: i.spec.Service, Address: host, Port: number, Tags: i.spec.Tags, Meta: i.spec.Meta,
		// One second is the shortest interval that Consul takes.
		Check: &api.AgentServiceCheck{HTTP: "http://" + i.addr + "/health", Interval: "1s", Timeout: "1s", Status: api.HealthPassing},
	})
	if err != nil {
		t.Fatalf("register %s in %s: %v", i.spec.ID, i.region.Name, err)
	}
	i.registered.Store(true)
}

// Deregister takes the instance out of Consul; it goes on serving.
func (i *Instance) Deregister(t testing.TB) {
	t.Helper()
	if err := i.region.Consul.Client().Agent().ServiceDeregister(i.spec.ID); err != nil {
		t.Fatalf("deregister %s in %s: %v", i.spec.ID, i.region.Name, err)
	}
	i.registered.Store(false)
}

// SetHealthy decides what the check finds; a sick instance still serves.
func (i *Instance) SetHealthy(ok bool) { i.healthy.Store(ok) }

func (i *Instance) passing() bool { return i.healthy.Load() && i.registered.Load() }

// Addr is the registered address.
func (i *Instance) Addr() string { return i.addr }

// ID is the registered ID.
func (i *Instance) ID() string { return i.spec.ID }

// Requests counts what arrived, checks apart.
func (i *Instance) Requests() int { return int(i.requests.Load()) }

// Arrived is told of each request with "hold" in its query: it is not answered
// until Release, or until the caller gives up.
func (i *Instance) Arrived() <-chan struct{} { return i.arrived }

// Release lets one held request be answered.
func (i *Instance) Release() { i.release <- struct{}{} }

func (i *Instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		if !i.healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	i.requests.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h := w.Header()
	h.Set("X-Served-By", i.region.Name+"/"+i.spec.ID)
	h.Set("Content-Type", "application/json")
	if r.URL.Query().Has("hold") {
		i.arrived <- struct{}{}
		select {
		case <-i.release:
		case <-r.Context().Done():
			return
		}
	}
	_ = json.NewEncoder(w).Encode(Echo{
		Region: i.region.Name, Instance: i.spec.ID,
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Header: r.Header, Body: string(body),
	})
}

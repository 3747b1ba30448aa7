package test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/transport/device"
)

// squad is devices that publish and take commands, on a mesh of two regions with
// two agents each.
type squad struct {
	*dev.Mesh
	t       *testing.T
	book    *ledger
	members []*soldier

	mu  sync.Mutex
	got map[string]int // commands that devices handled, by payload
}

const squadPolicy = `
service "ledger" {}
route "all" {
  match { path = "/devices/{id}/{rest...}" }
  forward { service = "ledger" }
}
access "own" {
  allow {
    publish   = ["devices/${device.id}/#"]
    subscribe = ["commands/${device.id}/#"]
  }
}
access "services" {
  services = ["*"]
  allow { command = ["commands/${device.id}/#"] }
}`

// Promise: an agent dies, then the rest of its region: what was acknowledged
// reached a service, devices publish elsewhere, and commands find them there.
func TestTheAgentOfDevicesDiesThenTheirRegion(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh and devices")
	}
	for name, protocol := range map[string]device.Protocol{"mqtt": device.MQTT, "http3": device.HTTP3} {
		t.Run(name, func(t *testing.T) { newSquad(t, protocol).survives() })
	}
}

func newSquad(t *testing.T, protocol device.Protocol) *squad {
	t.Helper()
	s := &squad{t: t, book: &ledger{got: map[string]int{}}, got: map[string]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var err error
	s.Mesh, err = dev.Start(ctx, dev.Config{Regions: 2, Agents: 2, Policy: []byte(squadPolicy), Services: []dev.Service{{Name: "ledger", Handler: s.book, Capacity: 1000}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for i := range 20 {
		s.members = append(s.members, s.recruit(fmt.Sprint("d", i), protocol))
	}
	return s
}

// recruit opens a device that prefers the first region.
func (s *squad) recruit(name string, protocol device.Protocol) *soldier {
	issued, err := s.Authority().IssueDevice(name, nil, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		s.t.Fatal(err)
	}
	conf := s.TLS()
	conf.Certificates = []tls.Certificate{cert}
	var endpoints []device.Endpoint
	for _, r := range s.Regions {
		for _, a := range r.Agents {
			endpoints = append(endpoints, device.Endpoint{Addr: a.EdgeAddr(), Region: r.Name})
		}
	}
	c, err := device.Open(device.Config{
		Endpoints: endpoints, TLS: conf, Protocol: protocol, Logger: testLogger(), Commands: []string{"commands/" + name + "/#"},
		Handler: func(_ context.Context, c device.Command) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got[string(c.Payload)]++
			return nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &soldier{Client: c, name: name}
}

func (s *squad) survives() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 90*time.Second)
	defer cancel()
	marching, halt := context.WithCancel(ctx)
	defer halt()
	var done sync.WaitGroup
	for _, m := range s.members {
		done.Go(func() { m.march(marching, 200*time.Millisecond) })
	}
	s.await("all devices publish", func(m *soldier) bool { return m.count() > 0 })
	s.reachAll(ctx, "at first")
	for i, a := range s.Regions[0].Agents {
		addr := a.EdgeAddr()
		if err := s.Crash(a.Name); err != nil {
			s.t.Fatal(err)
		}
		before := map[*soldier]int{}
		for _, m := range s.members {
			before[m] = m.count()
		}
		s.await("all devices publish elsewhere", func(m *soldier) bool { return m.State().Endpoint.Addr != addr && m.count() > before[m]+1 })
		s.reachAll(ctx, fmt.Sprint("after ", i+1, " deaths"))
	}
	halt()
	done.Wait()
	for _, m := range s.members {
		if err := m.Close(ctx); err != nil {
			s.t.Errorf("%s: %v", m.name, err)
		}
		for _, r := range m.acknowledged {
			if s.book.count(r.id) == 0 {
				s.t.Errorf("%s: acknowledged, and lost", r.id)
			}
		}
	}
}

func (s *soldier) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acknowledged)
}

func (s *squad) await(what string, ok func(*soldier) bool) {
	s.t.Helper()
	no := func(m *soldier) bool { return !ok(m) }
	for until := time.Now().Add(30 * time.Second); slices.ContainsFunc(s.members, no); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			s.t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// reachAll sends each device a command until it is delivered: right after a death
// the device, or those who know where it is, may be on their way.
func (s *squad) reachAll(ctx context.Context, when string) {
	s.t.Helper()
	for _, m := range s.members {
		payload := m.name + " " + when
		for answer := (commandAnswer{}); answer.word() != "delivered"; time.Sleep(20 * time.Millisecond) {
			if ctx.Err() != nil {
				s.t.Fatalf("%s, %s: %+v", m.name, when, answer)
			}
			answer = s.order(ctx, m.name, payload)
		}
		s.mu.Lock()
		if s.got[payload] != 1 {
			s.t.Errorf("%s: handled %d times", payload, s.got[payload])
		}
		s.mu.Unlock()
	}
}

// order posts a command to the egress of an agent that lives, by one id.
func (s *squad) order(ctx context.Context, name, payload string) (answer commandAnswer) {
	path := "/devices/" + name + "/messages/commands/" + name + "/do?wait=2s"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Regions[1].Agents[0].EgressAddr()+path, strings.NewReader(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Proxy-Authorization", "Bearer "+s.Token())
	req.Header.Set("Idempotency-Key", strings.ReplaceAll(payload, " ", "-"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	return answer
}

package dev

import (
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/load"
)

func (m *Mesh) limits(region int) []int {
	var all []int
	for _, i := range m.Regions[region].Instances {
		i.slots.mu.Lock()
		all = append(all, i.slots.limit)
		i.slots.mu.Unlock()
	}
	return all
}

func TestCapacityFaultShrinksEvenlyAndEnds(t *testing.T) {
	m := start(t, Config{Regions: 1, Agents: 1, Capacity: 10, Policy: []byte(svcPolicy), Services: []Service{{Name: "svc"}, {Name: "other", Capacity: 3}}})
	f := admin.Fault{ID: "fade", Kind: admin.FaultCapacity, Region: "eu-1", Service: "svc", Share: "10%", Over: "1s", Seconds: 60}
	if err := m.AddFault(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	between, last := false, ""
	eventually(t, "a tenth is left", func() bool {
		now := m.limits(0)
		last = fmt.Sprint(now)
		between = between || now[0] > 2 && now[0] < 9
		return now[0] == 1 && now[1] == 1
	}, &last)
	if !between {
		t.Error("it went there in one step")
	}
	if now := m.limits(0); now[2] != 3 || now[3] != 3 {
		t.Errorf("the other service shrank too: %v", now)
	}
	if err := m.RemoveFault(t.Context(), "fade"); err != nil {
		t.Fatal(err)
	}
	if now := m.limits(0); fmt.Sprint(now) != "[10 10 3 3]" {
		t.Errorf("afterwards %v", now)
	}
	all := admin.Fault{ID: "half", Kind: admin.FaultCapacity, Region: "eu-1", Share: "50%", Seconds: 60}
	if err := m.AddFault(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if now := m.limits(0); fmt.Sprint(now) != "[5 5 1 2]" {
		t.Errorf("half of every service: %v", now)
	}
}

func TestDevicesCarryTheTenantOfTheLoad(t *testing.T) {
	m := start(t, Config{Regions: 1, Agents: 2})
	cfg := load.Config{Tenants: []string{"acme", "other"}, Devices: 8}
	m.Aim(&cfg)
	for n := range 8 {
		pair, err := cfg.Identity(n)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		want := "tenant=" + cfg.TenantOf(n)
		found := false
		for _, uri := range cert.URIs {
			found = found || uri.RawQuery == want
		}
		if !found {
			t.Errorf("device %d has %v, want %s", n, cert.URIs, want)
		}
	}
}

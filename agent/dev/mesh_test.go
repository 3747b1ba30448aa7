package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

func TestMeshComesUpWhole(t *testing.T) {
	m := start(t, Config{})
	if len(m.Regions) != 3 {
		t.Fatalf("%d regions", len(m.Regions))
	}
	for _, r := range m.Regions {
		if len(r.Agents) != 2 {
			t.Fatalf("region %s has %d agents", r.Name, len(r.Agents))
		}
		for _, a := range r.Agents {
			if ok, reason := a.Ready(); !ok {
				t.Errorf("%s: %s", a.Name, reason)
			}
			if n := len(a.Regions().Regions); n != 3 {
				t.Errorf("%s knows %d regions", a.Name, n)
			}
			if n := len(a.Members().Members); n != 6 {
				t.Errorf("%s knows %d agents", a.Name, n)
			}
		}
	}
}

func TestEachRegionServesItsOwnAndOthersWhatTheyLack(t *testing.T) {
	m := start(t, Config{Regions: 2, Policy: []byte(svcPolicy), Services: []Service{{Name: "svc", Regions: []string{"eu-2"}, Instances: 1}}})
	for _, r := range m.Regions {
		deviceAt(t, m, r.Agents[1]).servedBy(t, "eu-2")
	}
	if n := m.Regions[1].Instances[0].Served(); n < 2 {
		t.Errorf("the instance served %d", n)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	m := start(t, Config{Regions: 2, Agents: 1})
	var addrs []string
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			p := a.ports
			for _, port := range []int{p.edge, p.mesh, p.lan, p.wan, p.admin, p.egress} {
				addrs = append(addrs, m.addr(port))
			}
		}
		for _, i := range r.Instances {
			addrs = append(addrs, i.Addr())
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	for _, addr := range addrs {
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Errorf("still taken: %v", err)
			continue
		}
		_ = udp.Close()
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("still taken: %v", err)
			continue
		}
		_ = tcp.Close()
	}
	if err := m.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestMeshThatCannotBecomeReadyLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("TMPDIR", t.TempDir())
	m, err := Start(ctx, Config{Regions: 2, Agents: 1})
	if err == nil {
		_ = m.Close()
		t.Fatal("a mesh was ready before it began")
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestMeshListensOnOtherLoopbackAddresses(t *testing.T) {
	for _, bind := range []string{"::1", "127.0.0.2"} {
		l, err := net.Listen("tcp", net.JoinHostPort(bind, "0"))
		if err != nil {
			t.Logf("this machine has no %s", bind)
			continue
		}
		_ = l.Close()
		m := start(t, Config{Regions: 2, Agents: 1, Bind: bind, Policy: []byte(svcPolicy), Services: []Service{{Name: "svc"}}})
		deviceAt(t, m, m.Regions[0].Agents[0]).servedBy(t, "eu-1")
	}
}

func TestMeshThatMakesNoSenseIsRefused(t *testing.T) {
	for says, cfg := range map[string]Config{
		"10 regions: use 1 to 9":               {Regions: 10},
		"-1 regions":                           {Regions: -1},
		"9 agents a region: use 1 to 8":        {Agents: 9},
		"latency -1s":                          {Latency: -1e9},
		"capacity -1":                          {Capacity: -1},
		`service "a b": use letters`:           {Services: []Service{{Name: "a b"}}},
		"17 instances":                         {Services: []Service{{Name: "a", Instances: 17}}},
		`no region "eu-9"`:                     {Services: []Service{{Name: "a", Regions: []string{"eu-9"}}}},
		`bind "localhost" is not an IP`:        {Bind: "localhost"},
		"0.0.0.0 stands for every address":     {Bind: "0.0.0.0"},
		":: stands for every address":          {Bind: "::"},
		"name an address of this machine":      {Bind: "192.0.2.1"},
		`"224.0.0.1" is not an IP address`:     {Bind: "224.0.0.1"},
		"33 services":                          {Services: make([]Service, 33)},
		`policy.hcl:1:1: Unsupported argument`: {Policy: []byte("nonsense = 1")},
	} {
		m, err := Start(t.Context(), cfg)
		if err == nil {
			_ = m.Close()
		}
		if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
}

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/gossip"
)

// agent is one mesh and what is observed of it.
type agent struct {
	name   string
	region int
	mesh   *gossip.Mesh
	traffic
	wasGateway bool
	before     [classes]int64
	total      int64
}

type fleet struct {
	net    *network
	agents []*agent
	byName map[string]*agent
	lost   atomic.Int64 // region that is cut off, plus one; 0: none
}

// authority issues stand-ins for certificates, as long as real ones.
type authority struct {
	pub ed25519.PublicKey
	key ed25519.PrivateKey
}

const certificateBytes = 520

func newAuthority() (*authority, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	return &authority{pub, key}, err
}

func (a *authority) issue(region, name string) (gossip.Signer, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return gossip.Signer{}, err
	}
	body := append([]byte(region+"\n"+name+"\n"), pub...)
	body = append(body, make([]byte, certificateBytes-ed25519.SignatureSize-len(body))...)
	return gossip.Signer{CertDER: append(ed25519.Sign(a.key, body), body...), Key: key}, nil
}

func (a *authority) verify(der []byte) (region, name string, pub ed25519.PublicKey, err error) {
	if len(der) < ed25519.SignatureSize || !ed25519.Verify(a.pub, der[ed25519.SignatureSize:], der[:ed25519.SignatureSize]) {
		return "", "", nil, errors.New("unknown authority")
	}
	parts := bytes.SplitN(der[ed25519.SignatureSize:], []byte("\n"), 3)
	return string(parts[0]), string(parts[1]), ed25519.PublicKey(parts[2][:ed25519.PublicKeySize]), nil
}

func regionName(r int) string { return fmt.Sprintf("region-%02d", r) }

const (
	lanDelay = 300 * time.Microsecond
	wanDelay = 40 * time.Millisecond // one way
)

func newFleet(regions, agents int) (*fleet, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	f := &fleet{byName: make(map[string]*agent)}
	f.net = newNetwork(f.delay, f.through)
	for r := range regions {
		for a := range agents {
			if err := f.add(ca, r, a); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *fleet) delay(from, to string) time.Duration {
	if f.byName[from].region == f.byName[to].region {
		return lanDelay
	}
	return wanDelay
}

// through says that what one agent sends to another arrives.
func (f *fleet) through(from, to string) bool {
	lost := int(f.lost.Load()) - 1
	a, b := f.byName[from].region, f.byName[to].region
	return a == b || a != lost && b != lost
}

func (f *fleet) add(ca *authority, r, a int) error {
	name, ip := fmt.Sprintf("%s-agent-%d", regionName(r), a), fmt.Sprintf("10.%d.0.%d", r, a+1)
	signer, err := ca.issue(regionName(r), name)
	if err != nil {
		return err
	}
	one := &agent{name: name, region: r}
	f.byName[name] = one
	f.agents = append(f.agents, one)
	one.mesh, err = gossip.New(gossip.Config{
		Name: name, Region: regionName(r), Group: "group",
		Meta:    gossip.Meta{MeshAddr: ip + ":7444", EdgeAddr: ip + ":7443", Version: "0.3.0"},
		LAN:     gossip.Bind{Addr: ip + ":7946"},
		WAN:     gossip.Bind{Addr: ip + ":7947"},
		Keyring: [][]byte{bytes.Repeat([]byte{7}, 32)},
		Signer:  signer, Verify: ca.verify,
		Transport: f.net.open(name, &one.traffic),
	})
	return err
}

// run starts every mesh. It comes after all agents are known, for delays.
func (f *fleet) run(regions, agents int) error {
	var wan []string
	for r := range regions {
		wan = append(wan, fmt.Sprintf("10.%d.0.1:7947", r), fmt.Sprintf("10.%d.0.2:7947", r), fmt.Sprintf("10.%d.0.%d:7947", r, agents))
	}
	for _, a := range f.agents {
		<-time.After(mathrand.N(20 * time.Millisecond)) // so that no two keep step
		if err := a.mesh.Start(); err != nil {
			return fmt.Errorf("start %s: %w", a.name, err)
		}
		a.mesh.Join([]string{fmt.Sprintf("10.%d.0.1:7946", a.region)}, wan)
	}
	return nil
}

func (f *fleet) close() error {
	var errs []error
	for _, a := range f.agents {
		errs = append(errs, a.mesh.Close())
	}
	return errors.Join(errs...)
}

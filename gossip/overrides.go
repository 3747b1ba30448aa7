package gossip

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// heldOverride is the newest word on a region. One that was released or ran out
// is kept: older words that come back, from a part of the mesh that was cut off,
// must not count again.
type heldOverride struct {
	Override
	signed  time.Time // by this agent's clock, as far as it knows
	frame   envelope
	expired bool
}

func (h *heldOverride) inForce() bool { return !h.expired && h.Kind != OverrideRelease }

// Override tells every agent of every region an operator's word. It is signed by
// this agent, outlives it, and replaces what was said of the region before;
// OverrideRelease takes that back. By, Version and Expires are set here. Errors
// are of kind ErrFrame or ErrClosed and change nothing.
func (m *Mesh) Override(o Override) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lan == nil {
		return fmt.Errorf("%w: override", ErrClosed)
	}
	if err := o.check(); err != nil {
		return err
	}
	now := time.Now()
	o.By, o.Version, o.Expires = m.cfg.Name, m.book.lamport+1, time.Time{}
	if o.Left > 0 { // 0 means something else
		o.Left = max(o.Left.Truncate(time.Millisecond), time.Millisecond)
	}
	if o.Version > maxOverrideVersion {
		return fmt.Errorf("%w: override of region %s: no version is left", ErrFrame, o.Region)
	}
	if !m.roomForOverride(o.Region) {
		return fmt.Errorf("%w: override of region %s: %d regions are under one, release some", ErrFrame, o.Region, MaxOverrides)
	}
	f := overrideFrame{Override: o, Home: m.cfg.Region}
	e, err := openEnvelope(m.signer.Load().seal(kindOverride, f.encode()))
	if err != nil {
		return err
	}
	m.holdOverride(&f, e, nil, now)
	m.publishState()
	m.poke()
	return nil
}

func (m *Mesh) acceptOverride(e *envelope, a arrival, now time.Time) error {
	o, err := decodeOverride(e.payload)
	if err != nil {
		return err
	}
	if held := m.book.overrides[o.Region]; held != nil && !o.newer(&held.Override) {
		return nil // gossip repeats itself
	}
	if a.pool == nil {
		return refuse(dropStranger, ErrForged, "an override came outside the pools")
	}
	cert, err := m.identify(e, a, hint{region: o.Home}, now)
	if err != nil {
		return err
	}
	if cert.agent != o.By || cert.region != o.Home {
		return refuse(dropForeign, ErrForged, "override by agent %s of region %s signed by %s of %s", o.By, o.Home, cert.agent, cert.region)
	}
	if !m.roomForOverride(o.Region) {
		return refuse(dropFull, ErrFrame, "override of region %s: %d regions are under one", o.Region, MaxOverrides)
	}
	held := *e
	if held.cert = nil; len(held.encode())+len(cert.der)+8 <= maxDatagram {
		held.cert = cert.der
	}
	m.holdOverride(o, held, a.pool, now)
	return nil
}

// roomForOverride lets the oldest word that is no longer in force give way to
// the first one on another region.
func (m *Mesh) roomForOverride(region string) bool {
	all := m.book.overrides
	if all[region] != nil || len(all) < MaxOverrides {
		return true
	}
	var oldest *heldOverride
	for _, h := range all {
		if !h.inForce() && (oldest == nil || h.signed.Before(oldest.signed)) {
			oldest = h
		}
	}
	if oldest == nil {
		return false
	}
	delete(all, oldest.Region)
	return true
}

func (m *Mesh) holdOverride(o *overrideFrame, e envelope, from *pool, now time.Time) {
	e.payload, e.signature = slices.Clone(e.payload), slices.Clone(e.signature)
	h := &heldOverride{Override: o.Override, signed: now.Add(-e.age), frame: e}
	if h.Left > 0 {
		h.Expires = h.signed.Add(h.Left)
		h.expired = !now.Before(h.Expires)
	}
	m.book.overrides[h.Region] = h
	m.book.lamport = max(m.book.lamport, h.Version)
	m.book.dirty = true
	m.cfg.Logger.Info("operator's word on a region", "remote", h.Region, "kind", h.Kind, "by", h.By, "reason", h.Reason, "left", h.Left)
	m.spreadOverride(h, from, now)
}

// spreadOverride gossips a word, and takes the direct way besides: to the LAN
// what was given here or came from afar, to other regions what comes from the
// own, each gateway to those whose reports it carries.
func (m *Mesh) spreadOverride(h *heldOverride, from *pool, now time.Time) {
	frame, name := h.encode(now), overrideTopic(h.Region)
	m.lan.broadcast(name, frame)
	if from != m.lan {
		m.send(sending{pool: m.lan, to: m.others(), frame: frame, topic: name})
	}
	wan := m.wan.Load()
	if wan == nil {
		return
	}
	wan.broadcast(name, frame)
	if from != wan {
		to := slices.DeleteFunc(m.farGateways(), func(p *poolPeer) bool { return m.turn(p.meta.Region) > 0 })
		m.send(sending{pool: wan, to: to, frame: frame, topic: name})
	}
}

// overrideTopic is no name of a region: those have no spaces.
func overrideTopic(region string) string { return "override " + region }

// encode says how long ago it was signed: no wall clock is on the wire.
func (h *heldOverride) encode(now time.Time) []byte {
	e := h.frame
	e.age = now.Sub(h.signed)
	return e.encode()
}

// farGateways are the live gateways of other regions.
func (m *Mesh) farGateways() []*poolPeer {
	var far []*poolPeer
	for _, peer := range m.book.wan {
		if peer.alive && peer.meta.Region != m.cfg.Region {
			far = append(far, peer)
		}
	}
	return far
}

func (m *Mesh) expireOverrides(now time.Time) {
	for _, h := range m.book.overrides {
		if !h.expired && !h.Expires.IsZero() && !now.Before(h.Expires) {
			h.expired, m.book.dirty = true, true
		}
	}
}

// overridesInForce lists them by region.
func (m *Mesh) overridesInForce(now time.Time) []Override {
	var all []Override
	for _, region := range slices.Sorted(maps.Keys(m.book.overrides)) {
		h := m.book.overrides[region]
		if !h.inForce() {
			continue
		}
		o := h.Override
		if !o.Expires.IsZero() {
			o.Left = o.Expires.Sub(now)
		}
		all = append(all, o)
	}
	return all
}

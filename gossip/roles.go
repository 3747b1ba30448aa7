package gossip

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"
)

const wanLeaveTimeout = 500 * time.Millisecond

// role is whether this agent is a gateway. It follows the rendezvous order with
// hysteresis, so that a flapping member does not open and close WAN pools.
type role struct {
	gateway     bool
	firstK      bool
	firstKSince time.Time
}

func (m *Mesh) followRole(now time.Time) {
	b, t := &m.book, &m.cfg.Timing
	r := &b.role
	firstK := slices.Contains(b.gateways, m.cfg.Name)
	if alone := len(b.lan) < 2; alone && now.Sub(m.started) < t.Settle {
		firstK = false // the others may not have been found yet
	}
	if firstK != r.firstK {
		r.firstK, r.firstKSince = firstK, now
	}
	patience := t.GatewayUp
	if r.gateway {
		patience = t.GatewayDown
	}
	if firstK == r.gateway || now.Sub(r.firstKSince) < patience {
		return
	}
	r.gateway, b.dirty = firstK, true
	m.cfg.Logger.Info("gateway role changed", "gateway", firstK)
	m.wanWanted.Store(firstK)
	signal(m.roleChanged)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepWAN opens and closes the WAN pool as the role asks. A port that is taken
// is tried again for ever.
func (m *Mesh) keepWAN(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		if m.wanWanted.Load() != (m.wan.Load() != nil) {
			if err := m.switchWAN(); err != nil {
				m.cfg.Logger.Error("WAN gossip cannot start, will be tried again", "address", m.cfg.WAN.Addr, "error", err)
				retry.Reset(m.cfg.Timing.RejoinMax)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-m.roleChanged:
		case <-retry.C:
		}
	}
}

func (m *Mesh) switchWAN() error {
	m.wanMu.Lock()
	defer m.wanMu.Unlock()
	if m.wanEnded {
		return nil
	}
	if open := m.wan.Load(); open != nil {
		m.wan.Store(nil)
		if err := open.leave(wanLeaveTimeout); err != nil {
			m.cfg.Logger.Debug("WAN pool left unheard", "error", err)
		}
		defer m.poke()
		return open.close()
	}
	p, err := m.openWAN()
	if err != nil {
		return err
	}
	m.metrics.wanOpened.Inc()
	m.wan.Store(p)
	m.poke()
	signal(m.joinNow)
	return nil
}

// endWAN closes the WAN pool for good.
func (m *Mesh) endWAN() error {
	m.wanMu.Lock()
	defer m.wanMu.Unlock()
	m.wanEnded = true
	if open := m.wan.Swap(nil); open != nil {
		return open.close()
	}
	return nil
}

// openWAN takes the port it had before when the configured one is 0: others
// remember it.
func (m *Mesh) openWAN() (*pool, error) {
	setup := m.wanSetup()
	host, port, err := splitHostPort(setup.bind.Addr)
	if err != nil {
		return nil, err
	}
	if port == 0 && m.wanPort != 0 {
		setup.bind.Addr = net.JoinHostPort(host, strconv.Itoa(m.wanPort))
	}
	p, err := m.openPool(setup)
	if err != nil && setup.bind.Addr != m.cfg.WAN.Addr {
		p, err = m.openPool(m.wanSetup())
	}
	if err != nil {
		return nil, err
	}
	m.wanPort = portOf(p.addr())
	return p, nil
}

func (m *Mesh) wanSetup() poolSetup {
	return poolSetup{
		name: poolWAN, label: "tidegate/wan", bind: m.cfg.WAN, timing: m.cfg.Timing.WAN,
		labels: m.metrics.poolLabels(poolWAN),
	}
}

func (m *Mesh) lanSetup() poolSetup {
	return poolSetup{
		name: poolLAN, label: "lan/" + m.cfg.Region, region: m.cfg.Region, bind: m.cfg.LAN, timing: m.cfg.Timing.LAN,
		labels: m.metrics.poolLabels(poolLAN),
	}
}

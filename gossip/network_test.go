package gossip

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// network is split into islands: nothing passes from one to another, in any
// pool.
type network struct {
	mu     sync.Mutex
	agent  map[string]string // by address
	island map[string]string // by agent
}

func newNetwork() *network {
	return &network{agent: make(map[string]string), island: make(map[string]string)}
}

func (n *network) wrap(agent string, cfg *memberlist.Config) (memberlist.Transport, error) {
	inner, err := NewTransport(cfg)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.agent[net.JoinHostPort(cfg.BindAddr, fmt.Sprint(cfg.BindPort))] = agent
	return &cuttable{NodeAwareTransport: inner, net: n, agent: agent}, nil
}

// move puts agents on an island; "" is the mainland.
func (n *network) move(island string, agents ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, agent := range agents {
		n.island[agent] = island
	}
}

func (n *network) passes(from, addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.island[from] == n.island[n.agent[addr]]
}

type cuttable struct {
	memberlist.NodeAwareTransport
	net   *network
	agent string
}

func (c *cuttable) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if !c.net.passes(c.agent, a.Addr) {
		return time.Now(), nil
	}
	return c.NodeAwareTransport.WriteToAddress(b, a)
}

func (c *cuttable) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if !c.net.passes(c.agent, a.Addr) {
		return nil, errors.New("cut off")
	}
	return c.NodeAwareTransport.DialAddressTimeout(a, timeout)
}

package upstream

import (
	"context"
	"time"
)

// pool is the connections to one instance; its client's mutex guards it.
type pool struct {
	idle []*conn // last in, first out
	open int     // idle, in use and being dialled
	low  int     // fewest idle since the last sweep: those nobody needed
}

// take gives a kept connection, the one used last, or a new one. fresh wants a
// new one and closes those kept: they have been idle for longer than one that
// turned out closed.
func (c *Client) take(ctx context.Context, addr string, fresh bool) (*conn, error) {
	cn, err := c.takeIdle(addr, fresh)
	if cn != nil || err != nil {
		return cn, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	nc, err := c.cfg.Dial(dialCtx, "tcp", addr)
	if err != nil {
		c.forget(addr)
		return nil, &Error{Op: "dial", Addr: addr, Kind: ErrDial, NotSent: true, Err: err}
	}
	return newConn(c, addr, nc), nil
}

// takeIdle gives nil, nil when the caller is to dial; it has a place then.
func (c *Client) takeIdle(addr string, fresh bool) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &Error{Op: "send request", Addr: addr, Kind: ErrClosed, NotSent: true}
	}
	p := c.pools[addr]
	if p == nil {
		p = &pool{}
		c.pools[addr] = p
	}
	if fresh {
		c.drop(p, len(p.idle))
	}
	if last := len(p.idle) - 1; last >= 0 {
		cn := p.idle[last]
		p.idle[last], p.idle = nil, p.idle[:last]
		p.low = min(p.low, last)
		return cn, nil
	}
	if p.open >= c.cfg.MaxPerInstance {
		return nil, &Error{Op: "take connection", Addr: addr, Kind: ErrBusy, NotSent: true}
	}
	p.open++
	c.dialed++
	return nil, nil
}

// put keeps cn for the next request, or closes it.
func (c *Client) put(cn *conn, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[cn.addr]
	if !keep || c.closed {
		cn.nc.Close()
		c.leave(cn.addr, p)
		return
	}
	cn.reused, cn.idleGen = true, c.gen
	p.idle = append(p.idle, cn)
	c.armSweep()
}

func (c *Client) forget(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(addr, c.pools[addr])
}

func (c *Client) leave(addr string, p *pool) {
	if p.open--; p.open == 0 {
		delete(c.pools, addr)
	}
}

// drop closes the n connections of p that have been idle longest.
func (c *Client) drop(p *pool, n int) {
	for _, cn := range p.idle[:n] {
		cn.nc.Close()
	}
	p.open -= n
	p.low = max(0, p.low-n)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
}

// armSweep counts time in sweeps, so that no request reads the clock.
func (c *Client) armSweep() {
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.period, c.closeUnused)
	}
}

// closeUnused closes what has been idle too long, and of what nobody needed
// since the last sweep all but MaxIdlePerInstance. Closing those above it at
// once, as they come back, would dial them again in the next burst: with 256
// requests at once and 64 kept, that was a quarter of the CPU of a request.
func (c *Client) closeUnused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.sweep = nil
	for addr, p := range c.pools {
		unused := max(0, p.low-c.cfg.MaxIdlePerInstance)
		for unused < len(p.idle) && c.period*time.Duration(c.gen-p.idle[unused].idleGen) >= c.cfg.IdleTimeout {
			unused++
		}
		c.drop(p, unused)
		if p.low = len(p.idle); p.open == 0 {
			delete(c.pools, addr)
		}
		if len(p.idle) > 0 && !c.closed {
			c.armSweep()
		}
	}
}

// Stats counts a Client's connections.
type Stats struct {
	Dialed  uint64 // connections asked for since New, failed ones too
	Stale   uint64 // kept connections found closed
	Retried uint64 // requests written a second time because of that
	Open    int    // connections now, those being made too
	Idle    int    // of them unused
}

// Stats is a snapshot.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Dialed: c.dialed, Stale: c.stale.Load(), Retried: c.retried.Load()}
	for _, p := range c.pools {
		s.Open += p.open
		s.Idle += len(p.idle)
	}
	return s
}

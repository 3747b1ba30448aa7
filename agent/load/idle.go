package load

import (
	"context"
	"fmt"
	"sync"
)

// IdleReport is what became of connections on which nothing is sent.
type IdleReport struct {
	Connections int `json:"connections"`
	Lost        int `json:"lost"` // ended by the time the load was over
}

// connectingAtOnce is how many idle devices connect at a time before the load begins.
const connectingAtOnce = 32

// connectIdle has every idle device connect. Who is refused tries again, as after a
// storm.
func (g *generator) connectIdle(ctx context.Context) error {
	next := make(chan *device)
	var all sync.WaitGroup
	var once sync.Once
	var failed error
	for range min(connectingAtOnce, len(g.idle)) {
		all.Go(func() {
			for d := range next {
				if err := d.connectSoon(ctx, &g.cfg); err != nil {
					once.Do(func() { failed = err })
				}
			}
		})
	}
	for _, d := range g.idle {
		next <- d
	}
	close(next)
	all.Wait()
	return failed
}

func (d *device) connectSoon(ctx context.Context, cfg *Config) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	err := d.link.connect(ctx, d.home.Addr)
	if err == nil {
		return nil
	}
	if _, ok := d.comeBack(ctx, cfg, d.home); !ok {
		return fmt.Errorf("idle %s does not get a connection to %s: %w", d.id, d.home.Addr, err)
	}
	return nil
}

// lostIdle counts the idle connections that ended by themselves.
func (g *generator) lostIdle() *IdleReport {
	if len(g.idle) == 0 {
		return nil
	}
	r := &IdleReport{Connections: len(g.idle)}
	for _, d := range g.idle {
		if !d.link.connected() {
			r.Lost++
		}
	}
	return r
}

package catalog

import (
	"context"
	"time"
)

// settle is how long changes are gathered before they are written.
const settle = time.Second

func (c *Consul) load() map[string]saved {
	if c.opt.DataDir == "" {
		return map[string]saved{}
	}
	shelf, err := loadLastGood(c.opt.DataDir, c.opt.Region)
	if err != nil {
		c.log.Warn("starting without the catalog's last known good", "error", err)
	}
	if shelf == nil {
		shelf = map[string]saved{}
	}
	return shelf
}

// keepFile writes the last-known-good a moment after each change.
func (c *Consul) keepFile(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.dirty:
			pause(ctx, settle)
		}
		c.store()
	}
}

func (c *Consul) store() {
	if c.opt.DataDir == "" {
		return
	}
	c.mu.Lock()
	g := lastGood{Region: c.opt.Region, Services: c.ledger.save()}
	c.mu.Unlock()
	if len(g.Services) == 0 {
		return
	}
	c.sayStored(storeLastGood(c.opt.DataDir, g))
}

func (c *Consul) sayStored(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.meters.fail("disk")
	}
	if c.filing == (err != nil) {
		return
	}
	c.filing = err != nil
	if c.filing {
		c.log.Warn("the catalog's last known good is not written; a restart without Consul would start with older addresses", "error", err)
		return
	}
	c.log.Info("the catalog's last known good is written again")
}

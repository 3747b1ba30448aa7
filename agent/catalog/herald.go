package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
)

// herald keeps the agent announced: the whole registration every Reregister,
// its readiness three times per TTL and at once when it changes, the whole
// registration again as soon as Consul says it does not know it.
type herald struct {
	client *api.Client
	set    settings
	log    *slog.Logger
	meters *meters

	current atomic.Pointer[announcement] // nil: nothing to announce

	gate chan struct{} // holds one token; whoever took it owns what follows
	told struct {
		ready    bool
		failing  bool
		again    time.Time // when to register whole
		tell     time.Time // when to tell readiness, at the latest
		notUntil time.Time // after a failure
	}
	retry backoff
}

type announcement struct {
	reg   *api.AgentServiceRegistration
	ready func() (bool, string)
}

func newHerald(client *api.Client, set settings, log *slog.Logger, m *meters) *herald {
	h := &herald{client: client, set: set, log: log, meters: m, gate: make(chan struct{}, 1)}
	h.retry = backoff{least: set.MinBackoff, most: min(set.MaxBackoff, set.Reregister)}
	h.gate <- struct{}{}
	return h
}

// Register implements Catalog: it asks once; while Run runs, the registration
// is kept up whatever this first answer was. A fault in self is of kind
// policy.ErrInvalid and announces nothing.
func (c *Consul) Register(ctx context.Context, self Self) error {
	reg, err := registration(self, c.opt.Region, c.set)
	if err != nil {
		return err
	}
	ready := self.Ready
	if ready == nil {
		ready = func() (bool, string) { return true, "" }
	}
	c.herald.current.Store(&announcement{reg, ready})
	return c.herald.locked(ctx, func() error { return c.herald.announce(ctx, time.Now()) })
}

// Deregister implements Catalog.
func (c *Consul) Deregister(ctx context.Context) error {
	a := c.herald.current.Swap(nil)
	if a == nil {
		return nil
	}
	return c.herald.locked(ctx, func() error { return c.herald.withdraw(ctx, a) })
}

func (h *herald) locked(ctx context.Context, do func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.gate:
	}
	defer func() { h.gate <- struct{}{} }()
	return do()
}

func (h *herald) run(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, h.set.ttl/6))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			h.locked(ctx, func() error { return h.step(ctx, now) })
		}
	}
}

// step does what is due; errors are said in say.
func (h *herald) step(ctx context.Context, now time.Time) error {
	a := h.current.Load()
	if a == nil || now.Before(h.told.notUntil) {
		return nil
	}
	ready, reason := a.ready()
	switch {
	case !now.Before(h.told.again):
		return h.announce(ctx, now)
	case h.set.check != CheckTTL:
		return nil
	case ready != h.told.ready || !now.Before(h.told.tell):
		return h.tell(ctx, a, ready, reason, now)
	}
	return nil
}

// announce registers the agent whole.
func (h *herald) announce(ctx context.Context, now time.Time) error {
	a := h.current.Load()
	if a == nil {
		return nil
	}
	ready, _ := a.ready()
	reg, check := *a.reg, *a.reg.Check
	check.Status = wireStatus(ready)
	reg.Check = &check
	ctx, cancel := context.WithTimeout(ctx, h.set.Request)
	defer cancel()
	err := h.client.Agent().ServiceRegisterOpts(&reg, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
	if err != nil {
		return h.failed(now, fmt.Errorf("register agent %q in consul: %w", reg.ID, err))
	}
	h.done(ready, now)
	h.told.again = now.Add(h.set.Reregister)
	return nil
}

// tell renews the TTL check.
func (h *herald) tell(ctx context.Context, a *announcement, ready bool, reason string, now time.Time) error {
	asking, cancel := context.WithTimeout(ctx, h.set.Request)
	defer cancel()
	var q api.QueryOptions
	err := h.client.Agent().UpdateTTLOpts(checkID(a.reg.ID), reason, wireStatus(ready), q.WithContext(asking))
	if isUnknownCheck(err) {
		h.log.Warn("consul no longer knows this agent; registering it again", "id", a.reg.ID)
		return h.announce(ctx, now)
	}
	if err != nil {
		return h.failed(now, fmt.Errorf("renew check of agent %q in consul: %w", a.reg.ID, err))
	}
	h.done(ready, now)
	return nil
}

func (h *herald) done(ready bool, now time.Time) {
	if h.told.failing {
		h.log.Info("this agent is registered in consul again")
	}
	h.told.failing, h.told.ready = false, ready
	h.told.tell, h.told.notUntil = now.Add(h.set.ttl/3), time.Time{}
	h.retry.reset()
}

func (h *herald) failed(now time.Time, err error) error {
	h.meters.fail("register")
	if !h.told.failing {
		h.log.Warn("this agent is not registered in consul; trying on", "error", err)
	}
	h.told.failing = true
	h.told.again, h.told.notUntil = time.Time{}, now.Add(h.retry.next())
	return err
}

func (h *herald) withdraw(ctx context.Context, a *announcement) error {
	ctx, cancel := context.WithTimeout(ctx, h.set.Request)
	defer cancel()
	var q api.QueryOptions
	err := h.client.Agent().ServiceDeregisterOpts(a.reg.ID, q.WithContext(ctx))
	if err != nil && statusCode(err) != http.StatusNotFound {
		h.meters.fail("register")
		return fmt.Errorf("deregister agent %q from consul: %w", a.reg.ID, err)
	}
	return nil
}

func wireStatus(ready bool) string {
	if ready {
		return api.HealthPassing
	}
	return api.HealthCritical
}

// isUnknownCheck recognises Consul's 404, and the 500 of versions before 1.11.
func isUnknownCheck(err error) bool {
	code := statusCode(err)
	return code == http.StatusNotFound ||
		code == http.StatusInternalServerError && strings.Contains(err.Error(), "does not have associated TTL")
}

// statusCode is the HTTP status of Consul's refusal; 0 when there was no answer.
func statusCode(err error) int {
	var refused api.StatusError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return 0
}

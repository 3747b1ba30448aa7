// Package catalog knows which instances of each service exist in this region
// and which of them are healthy. There is one interface and two sources behind
// it: Consul (blocking queries, registration of the agent itself, the policy's
// key) and a static list with active HTTP health checks. Whatever happens to
// the source, the last known good answer stays and its age is visible.
package catalog

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// ServiceName is the service as which agents register and find each other.
const ServiceName = "tidegate"

// Catalog follows services. All methods are safe for concurrent use.
type Catalog interface {
	// Run follows the watched services and keeps the registration alive until
	// ctx ends, then returns nil once everything it started has stopped. It
	// may be called once; later calls return ErrRunning.
	Run(ctx context.Context) error

	// Snapshot returns what is known now. It is never nil and never changes;
	// it costs one atomic load.
	Snapshot() *Snapshot

	// Changed receives after instances, Stale or Err of the snapshot changed.
	// It holds one signal: several changes may arrive as one. One reader.
	Changed() <-chan struct{}

	// Watch replaces the set of followed services; it may be called before and
	// during Run. Only followed services appear in snapshots.
	Watch(services []string)

	// Register announces this agent and remembers it: while Run runs, the
	// announcement is repeated, so an error means "not yet", not "never".
	Register(ctx context.Context, self Self) error

	// Deregister withdraws the announcement; it is not an error if there is none.
	Deregister(ctx context.Context) error

	// Peers returns the gossip addresses (IP:port) of other agents: lan of this
	// region, wan of all others, each with the configured retry_join addresses.
	// What was found is returned even when err says that a part failed.
	Peers(ctx context.Context) (lan, wan []string, err error)
}

// Options are what both sources need from the agent.
type Options struct {
	Region       string                // this region; equals the Consul datacenter
	DataDir      string                // last-known-good lives in DataDir/catalog.json; empty: only in memory
	RetryJoin    []string              // "host:port" of LAN gossip; names are resolved to all their addresses
	RetryJoinWAN []string              // "host:port" of WAN gossip
	Logger       *slog.Logger          // nil: silent
	Metrics      prometheus.Registerer // nil: none; one catalog a registry

	// Transport decorates what carries requests to Consul, for drills; nil: it is bare.
	Transport func(http.RoundTripper) http.RoundTripper
}

// Self is this agent as it is announced.
type Self struct {
	ID       string            // service ID; default "tidegate-" + Name
	Name     string            // agent name, unique in the mesh
	Region   string            // default Options.Region
	Version  string            // of the program
	EdgeAddr string            // "host:port" for devices; host may be empty: the Consul node's address
	MeshAddr string            // "host:port" of mesh tunnels
	LANAddr  string            // "host:port" of LAN gossip
	WANAddr  string            // "host:port" of WAN gossip; empty: never a gateway
	Meta     map[string]string // added to the registration's metadata
	ReadyURL string            // readyz, asked by Consul when ConsulConfig.Check is "http"

	// Ready says whether the agent serves, and why not; it feeds the TTL check
	// once a second and must not block. Nil: always ready.
	Ready func() (ok bool, reason string)
}

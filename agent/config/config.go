// Package config reads the configuration of one agent: HCL files, TIDEGATE_*
// environment variables and command-line flags, later ones over earlier ones.
//
// Every attribute has one key, the path to it: drain_timeout,
// listeners.edge.addr. The same key names it everywhere:
//
//	file         listeners { edge { addr = ":7443" } }
//	environment  TIDEGATE_LISTENERS_EDGE_ADDR=:7443
//	flag         --set listeners.edge.addr=:7443
//
// Lists are comma-separated outside files. A key that is set nowhere keeps its
// default. Paths in a file are relative to that file's directory; paths from
// the environment and from flags are relative to the working directory.
package config

import (
	"fmt"
	"time"
)

// Config is the configuration of one agent, complete and checked.
type Config struct {
	// Name of the agent, unique in the mesh: letters, digits, "-", "_", "."; at
	// most 63. Default: the host's name up to the first dot.
	Name string `hcl:"name"`
	// Region the agent serves, equal to its Consul datacenter. Required; the
	// same characters as Name.
	Region string `hcl:"region"`
	// Group of regions that fail over to each other. Default: "default".
	Group string `hcl:"group"`
	// DataDir keeps what must survive a restart: the stateless-reset key and the
	// last-known-good catalog. Default: /var/lib/tidegate. Must be writable.
	DataDir string `hcl:"data_dir" is:"path"`
	// DrainTimeout is how long requests in flight may take to finish after
	// SIGTERM. Default 30s, range 0s–1h.
	DrainTimeout time.Duration `hcl:"drain_timeout"`

	Log       Log            `hcl:"log,block"`
	Listeners Listeners      `hcl:"listeners,block"`
	TLS       TLS            `hcl:"tls,block"`
	Identity  DeviceIdentity `hcl:"identity,block"`
	Gossip    Gossip         `hcl:"gossip,block"`
	Catalog   Catalog        `hcl:"catalog,block"`
	Policy    Policy         `hcl:"policy,block"`
	Limits    Limits         `hcl:"limits,block"`
	Fault     Fault          `hcl:"fault,block"`

	// Warnings are doubts that do not stop the agent, ready to be logged.
	Warnings []string

	places map[string]origin
}

// Place says where a key, or else the block it is in, was set: "file:line:column",
// the environment variable or the flag; empty when it was not.
func (c *Config) Place(key string) string {
	for ; key != ""; key = parentOf(key) {
		from, found := c.places[key]
		switch {
		case found && from.place != nil:
			return fmt.Sprintf("%s:%d:%d", from.place.Filename, from.place.Start.Line, from.place.Start.Column)
		case found:
			return from.label
		}
	}
	return ""
}

// Log says what is logged and how.
type Log struct {
	Level  string    `hcl:"level"`  // debug, info, warn, error; default info
	Format string    `hcl:"format"` // text or json; default text
	Access AccessLog `hcl:"access,block"`
}

// AccessLog is the JSON log of requests. Failures and refusals are always
// logged, successes by sample.
type AccessLog struct {
	// Sample is the share of successes to log, 0–1. Default 0.01; 0 logs
	// failures only.
	Sample float64 `hcl:"sample"`
}

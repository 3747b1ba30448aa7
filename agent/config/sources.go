package config

import (
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
)

// Policy says where the policy comes from: exactly one of the two.
type Policy struct {
	// File is the policy's HCL file, or a directory of *.hcl; watched.
	File string `hcl:"file" is:"path"`
	// ConsulKV is the key in the region's own datacenter; watched. Needs the
	// Consul catalog.
	ConsulKV string `hcl:"consul_kv"`
}

// Catalog says where services and their instances come from: exactly one block.
type Catalog struct {
	Consul *Consul               `hcl:"consul,block"`
	Static *catalog.StaticConfig `hcl:"static,block" is:"foreign"`
}

// Consul says how to reach the region's Consul. What is not set comes from the
// usual CONSUL_* environment (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN,
// CONSUL_CACERT and the like), then from Consul's own defaults.
type Consul struct {
	Address       string `hcl:"address"` // "host:port", "https://host:port" or "unix:///path"
	Token         Secret `hcl:"token"`
	TokenFile     string `hcl:"token_file" is:"path"`
	Namespace     string `hcl:"namespace"` // Consul Enterprise only
	Partition     string `hcl:"partition"` // Consul Enterprise only
	CAFile        string `hcl:"ca_file" is:"path"`
	CertFile      string `hcl:"cert_file" is:"path"`
	KeyFile       string `hcl:"key_file" is:"path"`
	TLSServerName string `hcl:"tls_server_name"`
	// Check is how Consul learns whether the agent is ready: "ttl", the agent
	// tells it, or "http", Consul asks listeners.ready. Default "ttl".
	Check string `hcl:"check"`
	// WaitTime is the longest a blocking query stays open. Default 1m, range
	// 10ms–10m.
	WaitTime time.Duration `hcl:"wait_time"`
	// DistrustFor is how long an instance that is no longer listed is
	// remembered. Default 5m, range 0s–24h.
	DistrustFor time.Duration `hcl:"distrust_for"`
	// TTL of the agent's own check, renewed three times as often. Default 15s,
	// range 1s–10m.
	TTL time.Duration `hcl:"ttl"`
	// DeregisterAfter is when Consul forgets an agent whose check stays
	// critical. Default 30m, range 1m–168h.
	DeregisterAfter time.Duration `hcl:"deregister_after"`
}

// Catalog returns the block as the catalog package takes it.
func (c *Consul) Catalog() catalog.ConsulConfig {
	return catalog.ConsulConfig{
		Address:         c.Address,
		Token:           c.Token.Reveal(),
		TokenFile:       c.TokenFile,
		Namespace:       c.Namespace,
		Partition:       c.Partition,
		CAFile:          c.CAFile,
		CertFile:        c.CertFile,
		KeyFile:         c.KeyFile,
		TLSServerName:   c.TLSServerName,
		Check:           c.Check,
		WaitTime:        c.WaitTime.String(),
		DistrustFor:     c.DistrustFor.String(),
		TTL:             c.TTL.String(),
		DeregisterAfter: c.DeregisterAfter.String(),
	}
}

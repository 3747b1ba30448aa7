package config

import "time"

// Policy says where the policy comes from: exactly one of the two.
type Policy struct {
	// File is the policy's HCL file, or a directory of *.hcl; watched.
	File string `hcl:"file" is:"path"`
	// ConsulKV is the key in the region's own datacenter; watched. Needs the
	// Consul catalog.
	ConsulKV string `hcl:"consul_kv"`
}

// Consul says how to reach the region's Consul. What is not set comes from the
// usual CONSUL_* environment (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN,
// CONSUL_CACERT and the like), then from Consul's own defaults.
type Consul struct {
	Address    string     `hcl:"address"` // "host:port", "http(s)://host:port" or "unix:///path"
	Token      Secret     `hcl:"token"`
	Datacenter string     `hcl:"datacenter"` // default: the agent's region
	Namespace  string     `hcl:"namespace"`  // Consul Enterprise only
	TLS        *ConsulTLS `hcl:"tls,block"`
	// Wait is the longest a blocking query stays open. Default 1m, range 1s–10m.
	Wait time.Duration `hcl:"wait"`
}

// ConsulTLS is the TLS of the connection to Consul.
type ConsulTLS struct {
	CA         string `hcl:"ca" is:"path"`
	Cert       string `hcl:"cert" is:"path"`
	Key        string `hcl:"key" is:"path"`
	ServerName string `hcl:"server_name"`
}

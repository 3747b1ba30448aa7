package catalog

import "time"

// ConsulConfig is the block `consul` of the agent's configuration. What is left
// empty comes from the CONSUL_* environment (CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL, CONSUL_CACERT,
// CONSUL_CLIENT_CERT, CONSUL_NAMESPACE ...), then from Consul's own defaults.
type ConsulConfig struct {
	Address       string `hcl:"address,optional"` // "host:port", "https://host:port" or "unix:///path"; default 127.0.0.1:8500
	Token         string `hcl:"token,optional"`
	TokenFile     string `hcl:"token_file,optional"`
	Namespace     string `hcl:"namespace,optional"`
	Partition     string `hcl:"partition,optional"`
	CAFile        string `hcl:"ca_file,optional"`
	CertFile      string `hcl:"cert_file,optional"`
	KeyFile       string `hcl:"key_file,optional"`
	TLSServerName string `hcl:"tls_server_name,optional"`

	// Check is how Consul learns whether the agent is ready: "ttl" (default:
	// the agent tells it, works wherever the admin listener is) or "http"
	// (Consul asks Self.ReadyURL).
	Check string `hcl:"check,optional"`

	WaitTime        string `hcl:"wait_time,optional"`        // longest blocking query; default 60s, 10ms to 10m
	DistrustFor     string `hcl:"distrust_for,optional"`     // how long an instance no longer listed is remembered; default 5m
	TTL             string `hcl:"ttl,optional"`              // of the agent's check; default 15s, told three times as often
	DeregisterAfter string `hcl:"deregister_after,optional"` // Consul forgets an agent critical for so long; default 30m, at least 1m

	Timing Timing // what operators have no reason to turn; zero fields: DefaultTiming
}

// Timing is how often Consul is asked and told.
type Timing struct {
	MinBackoff time.Duration // first pause after an error, doubled to MaxBackoff, jittered down to half; default 1s
	MaxBackoff time.Duration // default 30s
	MinPause   time.Duration // least time between two queries of one watch; default 100ms
	Reregister time.Duration // how often the whole registration is repeated; default 30s
	Request    time.Duration // timeout of one request that does not block; default 10s
}

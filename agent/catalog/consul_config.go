package catalog

import (
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/policy"
)

// ConsulConfig is the block `consul` of the agent's configuration. What is left
// empty comes from the CONSUL_* environment (CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL, CONSUL_CACERT,
// CONSUL_CLIENT_CERT, CONSUL_NAMESPACE ...), then from Consul's own defaults.
type ConsulConfig struct {
	Address       string `hcl:"address,optional"` // "host:port", "https://host:port" or "unix:///path"; default 127.0.0.1:8500
	Token         string `hcl:"token,optional"`
	TokenFile     string `hcl:"token_file,optional"` // read once at the start
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
	DistrustFor     string `hcl:"distrust_for,optional"`     // how long an instance no longer listed is remembered, and a service's last one before Consul is asked to confirm it; default 5m
	TTL             string `hcl:"ttl,optional"`              // of the agent's check; default 15s, at least 300ms; told three times as often
	DeregisterAfter string `hcl:"deregister_after,optional"` // Consul forgets an agent critical for so long; default 30m, at least 1m

	Timing Timing // what operators have no reason to turn; zero fields: DefaultTiming
}

// The values of ConsulConfig.Check.
const (
	CheckTTL  = "ttl"
	CheckHTTP = "http"
)

// Timing is how often Consul is asked and told.
type Timing struct {
	MinBackoff time.Duration // first pause after an error, doubled to MaxBackoff, jittered down to half; default 1s
	MaxBackoff time.Duration // default 30s
	MinPause   time.Duration // least time between two queries of one watch; default 100ms
	Reregister time.Duration // how often the whole registration is repeated; default 30s
	Request    time.Duration // timeout of one request that does not block; default 10s
}

// DefaultTiming returns the documented defaults.
func DefaultTiming() Timing {
	return Timing{
		MinBackoff: time.Second,
		MaxBackoff: 30 * time.Second,
		MinPause:   100 * time.Millisecond,
		Reregister: 30 * time.Second,
		Request:    10 * time.Second,
	}
}

// settings is a checked ConsulConfig.
type settings struct {
	Timing
	check                                       string
	waitTime, distrustFor, ttl, deregisterAfter time.Duration
}

func (cfg ConsulConfig) settings() (s settings, err error) {
	s.Timing = cfg.Timing.orDefault()
	switch s.check = cfg.Check; s.check {
	case "":
		s.check = CheckTTL
	case CheckTTL, CheckHTTP:
	default:
		return s, fmt.Errorf("%w: catalog consul: check %q: use ttl or http", policy.ErrInvalid, cfg.Check)
	}
	for _, d := range []struct {
		name, text       string
		into             *time.Duration
		def, least, most time.Duration
	}{
		{"wait_time", cfg.WaitTime, &s.waitTime, time.Minute, 10 * time.Millisecond, 10 * time.Minute},
		{"distrust_for", cfg.DistrustFor, &s.distrustFor, 5 * time.Minute, 0, 24 * time.Hour},
		{"ttl", cfg.TTL, &s.ttl, 15 * time.Second, 300 * time.Millisecond, time.Hour},
		{"deregister_after", cfg.DeregisterAfter, &s.deregisterAfter, 30 * time.Minute, time.Minute, 30 * 24 * time.Hour},
	} {
		if *d.into, err = duration("catalog consul: "+d.name, d.text, d.def, d.least, d.most); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (t Timing) orDefault() Timing {
	def := DefaultTiming()
	for _, d := range []struct{ set, def *time.Duration }{
		{&t.MinBackoff, &def.MinBackoff}, {&t.MaxBackoff, &def.MaxBackoff}, {&t.MinPause, &def.MinPause},
		{&t.Reregister, &def.Reregister}, {&t.Request, &def.Request},
	} {
		if *d.set <= 0 {
			*d.set = *d.def
		}
	}
	return t
}

// duration reads a configured duration; empty means def.
func duration(what, text string, def, least, most time.Duration) (time.Duration, error) {
	if text == "" {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %s %q: write a duration such as %q", policy.ErrInvalid, what, text, def)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%w: %s %q: must be from %s to %s", policy.ErrInvalid, what, text, least, most)
	}
	return d, nil
}

// client lays the configuration over the environment.
func (cfg ConsulConfig) client() (*api.Client, *api.Config, error) {
	conf := api.DefaultConfig()
	for _, v := range []struct {
		value string
		into  *string
	}{
		{cfg.Address, &conf.Address}, {cfg.Token, &conf.Token}, {cfg.TokenFile, &conf.TokenFile},
		{cfg.Namespace, &conf.Namespace}, {cfg.Partition, &conf.Partition},
		{cfg.CAFile, &conf.TLSConfig.CAFile}, {cfg.CertFile, &conf.TLSConfig.CertFile},
		{cfg.KeyFile, &conf.TLSConfig.KeyFile}, {cfg.TLSServerName, &conf.TLSConfig.Address},
	} {
		if v.value != "" {
			*v.into = v.value
		}
	}
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: catalog consul: %w", policy.ErrInvalid, err)
	}
	return client, conf, nil
}

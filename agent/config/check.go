package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
)

const (
	gossipKeyBytes = 32
	minTokenLength = 16
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// check looks at the meaning of what was set, after the form was right.
func (l *loader) check() {
	l.nameByHost()
	l.checkNames()
	l.checkLog()
	l.checkListeners()
	l.checkTLS()
	l.checkIdentity()
	l.checkGossip()
	l.checkSources()
	l.checkLimits()
}

func (l *loader) nameByHost() {
	if l.config.Name != "" {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		l.fault("name", "is not set, and the host has no name: %v", err)
		return
	}
	l.config.Name, _, _ = strings.Cut(host, ".")
}

func (l *loader) checkNames() {
	c := l.config
	l.name("name", c.Name)
	l.name("region", c.Region)
	l.name("group", c.Group)
	if c.DataDir == "" {
		l.fault("data_dir", "must not be empty")
	} else if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
		l.fault("data_dir", "%s is not a directory", c.DataDir)
	}
	l.between("drain_timeout", c.DrainTimeout, 0, time.Hour)
}

func (l *loader) name(key, value string) {
	switch {
	case value == "":
		l.fault(key, "is required")
	case !namePattern.MatchString(value):
		l.fault(key, "%q must be 1 to 63 letters, digits, dots, dashes or underscores, and begin and end with a letter or digit", value)
	}
}

func (l *loader) checkLog() {
	log := l.config.Log
	l.oneOf("log.level", log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", log.Format, "text", "json")
	if log.Access.Sample < 0 || log.Access.Sample > 1 {
		l.fault("log.access.sample", "%v is not between 0 and 1", log.Access.Sample)
	}
}

func (l *loader) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.fault(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func (l *loader) between(key string, value, low, high time.Duration) {
	if value < low || value > high {
		l.fault(key, "%s is not between %s and %s", value, low, high)
	}
}

func (l *loader) within(key string, value, low, high int64) {
	if value < low || value > high {
		l.fault(key, "%d is not between %d and %d", value, low, high)
	}
}

func (l *loader) checkGossip() {
	g := l.config.Gossip
	if len(g.Keys) == 0 {
		l.fault("gossip.keys", "is required: outside of tidegate dev gossip is always encrypted; make a key with tidegate keygen")
	}
	for i, key := range g.Keys {
		if _, err := decodeKey(key); err != nil {
			l.fault("gossip.keys", "key %d %v", i+1, err)
		}
	}
	l.oneOf("gossip.timing", g.Timing, TimingDefault, TimingFast)
	l.peers("gossip.retry_join", g.RetryJoin)
	l.peers("gossip.retry_join_wan", g.RetryJoinWAN)
}

func decodeKey(key Secret) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("is not base64: make one with tidegate keygen")
	}
	if len(raw) != gossipKeyBytes {
		return nil, fmt.Errorf("has %d bytes, not %d: make one with tidegate keygen", len(raw), gossipKeyBytes)
	}
	return raw, nil
}

// Keyring returns the gossip keys decoded, the one that encrypts first.
func (g Gossip) Keyring() [][]byte {
	ring := make([][]byte, 0, len(g.Keys))
	for _, key := range g.Keys {
		if raw, err := decodeKey(key); err == nil {
			ring = append(ring, raw)
		}
	}
	return ring
}

func (l *loader) checkSources() {
	c := l.config
	switch {
	case c.Catalog.Consul == nil && c.Catalog.Static == nil:
		l.fault("catalog", "needs a block consul or static")
	case c.Catalog.Consul != nil && c.Catalog.Static != nil:
		l.fault("catalog", "has both consul and static: keep one")
	case c.Catalog.Consul != nil:
		l.checkConsul(c.Catalog.Consul)
	default:
		if _, err := catalog.NewStatic(*c.Catalog.Static, catalog.Options{}); err != nil {
			l.fault("catalog.static", "%s", strings.TrimPrefix(err.Error(), "invalid: catalog static: "))
		}
	}
	switch p := c.Policy; {
	case p.File == "" && p.ConsulKV == "":
		l.fault("policy", "needs file or consul_kv")
	case p.File != "" && p.ConsulKV != "":
		l.fault("policy.consul_kv", "is set beside policy.file: keep one")
	case p.ConsulKV != "" && c.Catalog.Consul == nil:
		l.fault("policy.consul_kv", "needs catalog.consul")
	case strings.HasPrefix(p.ConsulKV, "/"):
		l.fault("policy.consul_kv", "%q must not begin with a slash", p.ConsulKV)
	case p.File != "":
		l.readable("policy.file", p.File)
	}
}

func (l *loader) checkConsul(c *Consul) {
	const key = "catalog.consul."
	l.oneOf(key+"check", c.Check, CheckTTL, CheckHTTP)
	if c.Check == CheckHTTP && l.config.Listeners.Ready == nil {
		l.fault(key+"check", "http needs listeners.ready, for Consul to ask")
	}
	if c.Token != "" && c.TokenFile != "" {
		l.fault(key+"token_file", "is set beside token: keep one")
	}
	for _, file := range [][2]string{{"token_file", c.TokenFile}, {"ca_file", c.CAFile}, {"cert_file", c.CertFile}, {"key_file", c.KeyFile}} {
		if file[1] != "" {
			l.readable(key+file[0], file[1])
		}
	}
	l.between(key+"wait_time", c.WaitTime, 10*time.Millisecond, 10*time.Minute)
	l.between(key+"distrust_for", c.DistrustFor, 0, 24*time.Hour)
	l.between(key+"ttl", c.TTL, time.Second, 10*time.Minute)
	l.between(key+"deregister_after", c.DeregisterAfter, time.Minute, 168*time.Hour)
}

func (l *loader) readable(key, path string) {
	f, err := os.Open(path)
	if err != nil {
		l.fault(key, "%v", err)
		return
	}
	f.Close()
}

func (l *loader) checkLimits() {
	const key, million = "limits.", 1_000_000
	m := l.config.Limits
	l.within(key+"max_header_bytes", int64(m.MaxHeaderBytes), 1<<10, 1<<20)
	l.within(key+"max_header_fields", int64(m.MaxHeaderFields), 10, 1000)
	l.within(key+"streams_per_connection", int64(m.StreamsPerConnection), 1, 10_000)
	l.within(key+"connections", int64(m.Connections), 1, 10*million)
	l.within(key+"connections_per_source", int64(m.ConnectionsPerSource), 1, 10*million)
	l.within(key+"handshakes_per_second", int64(m.HandshakesPerSecond), 0, million)
	l.within(key+"retry_above", int64(m.RetryAbove), 1, million)
	l.between(key+"header_timeout", m.HeaderTimeout, time.Second, 5*time.Minute)
	l.between(key+"body_timeout", m.BodyTimeout, time.Second, 10*time.Minute)
	l.between(key+"idle_timeout", m.IdleTimeout, 5*time.Second, time.Hour)
	if m.KeepAlive != 0 {
		l.between(key+"keep_alive", m.KeepAlive, time.Second, 5*time.Minute)
	}
	l.within(key+"mqtt_packet", int64(m.MQTTPacket), 1<<10, 16<<20)
	l.within(key+"mqtt_in_flight", int64(m.MQTTInFlight), 1, 65_535)
	l.between(key+"mqtt_session_expiry", m.MQTTSessionExpiry, time.Second, 168*time.Hour)
	l.between(key+"mqtt_keep_alive", m.MQTTKeepAlive, 5*time.Second, 18*time.Hour)
	l.within(key+"mesh_connections", int64(m.MeshConnections), 16, million)
	l.within(key+"mesh_streams", int64(m.MeshStreams), 1, million)
	l.within(key+"upstream_idle", int64(m.UpstreamIdle), 1, 10_000)
}

package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Listeners are the addresses the agent opens. An address is "host:port", or
// ":port" for every interface.
type Listeners struct {
	// Edge takes devices: QUIC on UDP, HTTP/2 and HTTP/1.1 on TCP of the same
	// number. Default ":7443".
	Edge EdgeBind `hcl:"edge,block"`
	// MQTT takes devices that speak MQTT over TLS on a port of its own, beside
	// Edge, which takes them too. Default: not opened; with an empty block
	// ":8883".
	MQTT *MQTTBind `hcl:"mqtt,block"`
	// Mesh takes other agents, of other regions and of this one. Default ":7444",
	// UDP, and TCP too.
	Mesh MeshBind `hcl:"mesh,block"`
	// LAN is the gossip of the region's agents, UDP and TCP. Default ":7946".
	LAN Bind `hcl:"lan,block"`
	// WAN is the gossip of the gateways, UDP and TCP. Default ":7947".
	WAN Bind `hcl:"wan,block"`
	// Admin is the control API. Default "127.0.0.1:7400"; needs a token, or a
	// socket instead of the address.
	Admin Control `hcl:"admin,block"`
	// Ready answers /healthz and /readyz, and nothing else, without a token, for
	// load balancers. Default: not opened.
	Ready *ReadyBind `hcl:"ready,block"`
	// Egress lets services beside the agent call any service of the mesh.
	// Default: not opened; with an empty block "127.0.0.1:7080". Needs a token,
	// or a socket instead of the address.
	Egress *Control `hcl:"egress,block"`
}

// Bind is an address to listen on and the one to tell others.
type Bind struct {
	Addr string `hcl:"addr"`
	// Advertise is the "host:port" that others reach this listener by, when Addr
	// is not (NAT, every interface). Default: see AdvertiseAddr.
	Advertise string `hcl:"advertise"`
}

// EdgeBind is the listener for devices.
type EdgeBind struct {
	Addr      string `hcl:"addr"`
	Advertise string `hcl:"advertise"`
	// EarlyData serves GET, HEAD and OPTIONS over HTTP/3 in the first flight of a
	// resumed connection (0-RTT); package edge says at what price. Default false.
	EarlyData bool `hcl:"early_data"`
	// ProxyFrom are addresses or prefixes of layer-4 balancers whose TCP connections
	// begin with a PROXY protocol header of version 2, here and at MQTT. From
	// others none is read. Default: no balancer.
	ProxyFrom []string `hcl:"proxy_protocol_from"`
	// QUICLB makes QUIC connection IDs by which a balancer routes. Default: random
	// ones.
	QUICLB *QUICLB `hcl:"quic_lb,block"`
}

// QUICLB is the unencrypted form of draft-ietf-quic-load-balancers; package edge
// says what the bytes are.
type QUICLB struct {
	// ConfigID is the balancer's codepoint for this layout. Default 0, range 0–6.
	ConfigID int `hcl:"config_id"`
	// ServerID is this agent's, in hex: 1 to 15 bytes, as many for all agents behind
	// the balancer. Required.
	ServerID string `hcl:"server_id"`
	// NonceLength is how many random bytes follow, with ServerID at most 19. Default
	// 8, range 4–18.
	NonceLength int `hcl:"nonce_length"`
}

// Server returns the bytes of ServerID; nil: it is not hex.
func (q *QUICLB) Server() []byte {
	id, err := hex.DecodeString(q.ServerID)
	if err != nil {
		return nil
	}
	return id
}

// ProxyPrefixes returns ProxyFrom as prefixes.
func (b EdgeBind) ProxyPrefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range b.ProxyFrom {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, wrong := netip.ParseAddr(text)
			if wrong != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%q: write it as an IPv4 address", text)
		}
		out = append(out, prefix)
	}
	return out, nil
}

// MeshBind is the mesh listener.
type MeshBind struct {
	Addr      string `hcl:"addr"`
	Advertise string `hcl:"advertise"`
	// TCP also listens on TCP of the same number, for peers whose UDP is
	// blocked. Default true.
	TCP bool `hcl:"tcp"`
}

// Control is a plain HTTP listener for this machine only: an address with a
// token, or a unix socket (mode 0600).
type Control struct {
	Addr   string `hcl:"addr"`
	Socket string `hcl:"socket" is:"path"`
	// Token that callers send as "Authorization: Bearer TOKEN"; at least 16
	// characters.
	Token Secret `hcl:"token"`
	// Clients are further tokens of the egress, as "NAME:TOKEN": the policy knows who
	// shows one by its name, for what services may send to devices.
	Clients []Secret `hcl:"clients"`
	// Hosts are the names callers may put in Host beside loopback names and the
	// address itself.
	Hosts []string `hcl:"hosts"`
}

// ClientTokens returns Clients by name.
func (c *Control) ClientTokens() map[string]string {
	tokens := make(map[string]string, len(c.Clients))
	for _, client := range c.Clients {
		name, token, _ := strings.Cut(client.Reveal(), ":")
		tokens[name] = token
	}
	return tokens
}

// MQTTBind is the listener for MQTT alone.
type MQTTBind struct {
	Addr string `hcl:"addr"`
}

// ReadyBind is the readiness listener.
type ReadyBind struct {
	Addr string `hcl:"addr"`
}

package config

import "strings"

// Listeners are the addresses the agent opens. An address is "host:port", or
// ":port" for every interface.
type Listeners struct {
	// Edge takes devices: QUIC on UDP, HTTP/2 and HTTP/1.1 on TCP of the same
	// number. Default ":7443".
	Edge Bind `hcl:"edge,block"`
	// MQTT takes devices that speak MQTT over TLS on a port of its own, beside
	// Edge, which takes them too. Default: not opened; with an empty block
	// ":8883".
	MQTT *MQTTBind `hcl:"mqtt,block"`
	// Mesh takes agents of other regions. Default ":7444", UDP, and TCP too.
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

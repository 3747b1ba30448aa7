package config

// TLS holds the certificates of the agent.
type TLS struct {
	Mesh MeshTLS `hcl:"mesh,block"`
	Edge EdgeTLS `hcl:"edge,block"`
}

// MeshTLS is what the agent shows other agents. The certificate names the
// trust domain, the region and the agent:
// spiffe://DOMAIN/region/REGION/agent/NAME. The key must be Ed25519: the agent
// signs its reports with it.
type MeshTLS struct {
	Cert string `hcl:"cert" is:"path"` // PEM, leaf first; required
	Key  string `hcl:"key" is:"path"`  // PEM; required
	CA   string `hcl:"ca" is:"path"`   // PEM, the authorities of the mesh; required
	// TrustDomain every peer must belong to. Default: that of Cert.
	TrustDomain string `hcl:"trust_domain"`
	// Deny lists peers that are refused although their certificate is good:
	// "REGION" or "REGION/AGENT".
	Deny []string `hcl:"deny"`
}

// EdgeTLS is what the agent shows devices.
type EdgeTLS struct {
	Cert string `hcl:"cert" is:"path"` // PEM, leaf first; required
	Key  string `hcl:"key" is:"path"`  // PEM; required
	// ClientCA are the authorities of device certificates, PEM. Required unless
	// ClientAuth is "none".
	ClientCA string `hcl:"client_ca" is:"path"`
	// CRL are revocation lists of the authorities in ClientCA, PEM or DER. The file
	// is read again when it changes; what is wrong with it then changes nothing.
	// Default: none.
	CRL string `hcl:"crl" is:"path"`
	// ClientAuth says whether devices must show a certificate: "require",
	// "optional" or "none". Default "require".
	ClientAuth string `hcl:"client_auth"`
}

// Gossip is the membership of the mesh.
type Gossip struct {
	// Keys encrypt gossip: base64 of 32 bytes each (tidegate keygen). The first
	// encrypts, all decrypt; rotate by adding, promoting and removing. Required.
	Keys []Secret `hcl:"keys"`
	// RetryJoin are "host:port" of agents of this region to join by, tried for
	// ever. With a Consul catalog agents find each other without it.
	RetryJoin []string `hcl:"retry_join"`
	// RetryJoinWAN are "host:port" of agents of other regions.
	RetryJoinWAN []string `hcl:"retry_join_wan"`
	// Timing is "default", for real networks, or "fast", for tests on one
	// machine.
	Timing string `hcl:"timing"`
}

// Package transport carries traffic between agents: identities and the
// authority that issues them, mesh tunnels (HTTP/3 over QUIC with mutual TLS,
// HTTP/2 over TCP where UDP is blocked), liveness probes on the same UDP port,
// and the headers that cross the mesh.
package transport

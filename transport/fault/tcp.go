package fault

import (
	"context"
	"net"
	"net/netip"
)

// DialFunc is the shape of net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Listener decorates a TCP listener.
func Listener(inner net.Listener, sw *Switch) net.Listener { return inner }

// Dialer decorates a way to dial TCP; self is the address by which rules know
// the agent that dials.
func Dialer(dial DialFunc, self netip.AddrPort, sw *Switch) DialFunc { return dial }

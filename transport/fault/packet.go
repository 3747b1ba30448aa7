package fault

import "net"

// PacketConn decorates a UDP socket for quic-go.
func PacketConn(inner *net.UDPConn, sw *Switch) net.PacketConn { return inner }

//go:build !linux

package transport

import "net"

// growBuffers asks for want bytes in each direction. What is granted cannot be
// read back portably.
func growBuffers(conn *net.UDPConn, want int) (read, write int, err error) {
	if err := conn.SetReadBuffer(want); err != nil {
		return 0, want, nil
	}
	if err := conn.SetWriteBuffer(want); err != nil {
		return want, 0, nil
	}
	return want, want, nil
}

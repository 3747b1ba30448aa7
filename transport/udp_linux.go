package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

// growBuffers asks for want bytes in each direction and returns what is
// granted. As root (CAP_NET_ADMIN) the system-wide limit does not apply.
func growBuffers(conn *net.UDPConn, want int) (read, write int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		if read, err = growBuffer(int(fd), unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, want); err == nil {
			write, err = growBuffer(int(fd), unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, want)
		}
	})
	if controlErr != nil {
		return 0, 0, controlErr
	}
	return read, write, err
}

func growBuffer(fd, option, force, want int) (int, error) {
	for _, opt := range []int{option, force} {
		// Refusal shows in the size read back.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, want)
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil || got >= want {
			return got, err
		}
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
}

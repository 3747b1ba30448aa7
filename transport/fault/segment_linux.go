package fault

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// segmentSize returns the UDP_SEGMENT size (udp(7)) among control messages, or
// 0 when the write is one packet.
func segmentSize(oob []byte) int {
	for len(oob) > 0 {
		header, body, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_SEGMENT && len(body) >= 2 {
			return int(binary.NativeEndian.Uint16(body))
		}
		oob = rest
	}
	return 0
}

package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
)

// udpBuffer is what quic-go wants a socket to hold in each direction, in bytes.
const udpBuffer = 7 << 20

// ListenUDP opens a UDP socket ("host:port") with buffers of 7 MiB, enough for
// QUIC bursts. When the system grants less it warns, saying how to fix it; the
// socket works all the same, dropping packets under load. In that case it sets
// QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING, so that quic-go does not say the same
// again on standard error.
func ListenUDP(ctx context.Context, addr string, logger *slog.Logger) (*net.UDPConn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	conn := pc.(*net.UDPConn)
	read, write, err := growBuffers(conn, udpBuffer)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen on UDP %s: size buffers: %w", addr, err)
	}
	if min(read, write) < udpBuffer {
		warnSmallBuffers(logger, conn.LocalAddr(), read, write)
	}
	return conn, nil
}

func warnSmallBuffers(logger *slog.Logger, addr net.Addr, read, write int) {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	if logger == nil {
		return
	}
	logger.Warn("UDP buffers are too small: packets will be dropped under load",
		"addr", addr.String(), "read_bytes", read, "write_bytes", write, "want_bytes", udpBuffer,
		"fix", "sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000")
}

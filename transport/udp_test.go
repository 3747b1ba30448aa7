package transport

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
)

func TestListenUDPGrowsBuffersOrSaysHow(t *testing.T) {
	var log bytes.Buffer
	conn, err := ListenUDP(context.Background(), "127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read, write, err := growBuffers(conn, udpBuffer)
	if err != nil {
		t.Fatal(err)
	}
	small := min(read, write) < udpBuffer
	if said := strings.Contains(log.String(), "sysctl -w net.core.rmem_max=7500000"); said != small {
		t.Errorf("buffers %d, %d; log %q", read, write, log.String())
	}
}

func TestSmallBufferWarningNamesTheFix(t *testing.T) {
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // restores it
	var log bytes.Buffer
	warnSmallBuffers(slog.New(slog.NewTextHandler(&log, nil)), &net.UDPAddr{Port: 1}, 1000, 2000)
	for _, want := range []string{"sysctl -w net.core.rmem_max=7500000", "read_bytes=1000", "want_bytes=7340032"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q lacks %q", log.String(), want)
		}
	}
}

func TestListenUDPOnATakenPortSaysWhich(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.LocalAddr().String()
	if _, err := ListenUDP(context.Background(), addr, nil); err == nil || !strings.Contains(err.Error(), addr) {
		t.Error(err)
	}
}

package edge

import (
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// Connections that send nothing cost little while they last, which is not long,
// and hold up nobody. go run ./test/devices has 10,000 of them.
func TestConnectionsThatSendNothing(t *testing.T) {
	const n, patience = 500, 2500 * time.Millisecond
	b := newBench(t, hello, limited(func(l *Limits) {
		l.HeaderTimeout, l.ConnectionsPerSource, l.HandshakeRate = patience, n+1, 1e6
	}))
	device := b.client(t, "h3")
	get(t, device, "/")
	before := memoryInUse()
	for range n {
		conn := must[net.Conn](t)(net.Dial("tcp", b.tcp))
		t.Cleanup(func() { conn.Close() })
	}
	eventually(t, "all are in", func() bool { return b.Connections() == n+1 })
	each := (memoryInUse() - before) / n
	t.Logf("%d connections, %d bytes each, both ends", n, each)
	if each > 20_000 {
		t.Errorf("each takes %d bytes", each)
	}
	began := time.Now()
	if rsp, _ := get(t, device, "/"); rsp.StatusCode != http.StatusOK || time.Since(began) > time.Second {
		t.Errorf("the device got %d after %s", rsp.StatusCode, time.Since(began))
	}
	b.wantRefusedTCP(t) // the source has enough
	deadline := time.Now().Add(2 * patience)
	for b.Connections() > 1 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if left, cut := b.Connections()-1, b.handshakes(protoTCP, handshakeFailed); left != 0 || cut != float64(n) {
		t.Errorf("%d are left, %v were counted", left, cut)
	}
}

func memoryInUse() int {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

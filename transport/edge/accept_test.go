package edge

import (
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
)

// starved is a listener that has no file descriptor for its first connections.
type starved struct {
	net.Listener
	missing atomic.Int32
}

func (l *starved) Accept() (net.Conn, error) {
	if l.missing.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestConnectionsAreTakenAgainWhenThereAreFilesAgain(t *testing.T) {
	each(t, []string{"h2", "h1"}, func(t *testing.T, proto string) {
		b := newBench(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) {
			l := &starved{Listener: c.TCP}
			l.missing.Store(3)
			c.TCP = l
		})
		rsp := must[*http.Response](t)(b.client(t, proto).Get(url("/")))
		if readAll(t, rsp); rsp.StatusCode != http.StatusOK {
			t.Errorf("status %d", rsp.StatusCode)
		}
	})
}

//go:build unix

package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
)

// closesAfter answers one request on each connection, then closes when told.
func closesAfter(t *testing.T, closing <-chan struct{}) string {
	return rawServer(t, func(nth int, nc net.Conn, r *bufio.Reader) {
		if _, ok := readRequest(r); ok {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+fmt.Sprint(nth%10))
			<-closing
		}
	})
}

func TestKeptConnectionThatWasClosedIsReplacedUnseen(t *testing.T) {
	closing := make(chan struct{})
	addr, c := closesAfter(t, closing), newClient(t, Config{})
	mustRead(t, c, addr, &Request{RequestURI: "/"})
	close(closing)
	kept := c.pools[addr].idle[0]
	eventually(t, "the FIN arrives", func() bool {
		raw, closed := kept.raw, false
		raw.Read(func(fd uintptr) bool {
			closed = (&conn{in: input{buf: make([]byte, 1)}}).probe(int(fd)) != nil
			return true
		})
		return closed
	})
	if _, got := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Bytes: []byte("once")}); got != "1" {
		t.Errorf("answered by connection %s", got)
	}
	if s := c.Stats(); s.Stale != 1 || s.Retried != 1 || s.Dialed != 2 {
		t.Errorf("%+v", s)
	}
}

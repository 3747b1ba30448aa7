package upstream

import (
	"context"
	"net"
	"strings"
	"testing"
)

// plainConn hides the descriptor, as a TLS or an in-memory connection does.
type plainConn struct{ net.Conn }

func TestConnectionsWithoutDescriptorWork(t *testing.T) {
	addr := serve(t, echo)
	c := newClient(t, Config{HeaderTimeout: patience, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return plainConn{nc}, err
	}})
	for range 3 {
		if _, got := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Bytes: []byte("abc")}); got != "abc" {
			t.Errorf("got %q", got)
		}
		if _, got := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Body: strings.NewReader("abc"), ContentLength: -1}); got != "abc" {
			t.Errorf("stream: got %q", got)
		}
	}
	if s := c.Stats(); s.Dialed != 1 {
		t.Errorf("%+v", s)
	}
}

package flood

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/transport"
)

func serve(t *testing.T, a *transport.Authority) (addr string, end func()) {
	t.Helper()
	issued, err := a.IssueEdge([]string{"localhost"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(conn) }()
	return conn.LocalAddr().String(), func() {
		_ = s.Close()
		<-done
		_ = conn.Close()
	}
}

func TestDevicesLeaveAnEdgeThatFellSilent(t *testing.T) {
	a, err := transport.NewAuthority("flood", "flood.test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first, endFirst := serve(t, a)
	second, endSecond := serve(t, a)
	defer endSecond()
	f, err := NewFleet(FleetConfig{Edges: []string{first, second}, Groups: []int{1}, Silence: 300 * time.Millisecond,
		TLS: &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kind := &Kind{Path: "/"}
	if err := f.Connect(t.Context(), kind); err != nil {
		t.Fatal(err)
	}
	endFirst()
	d := f.Pick(kind, rand.New(rand.NewPCG(1, 1)))
	for until := time.Now().Add(20 * time.Second); ; {
		ans := d.Send(t.Context(), &Shot{Kind: kind, Deadline: time.Now().Add(time.Second)})
		if ans.Status == http.StatusNoContent && ans.Edge == 1 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%+v", ans)
		}
	}
	if d.Home() != 0 {
		t.Errorf("home %d", d.Home())
	}
}

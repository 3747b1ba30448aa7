package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
)

// deaf is a network that carries what a device sends, and nothing back while it
// is deaf: its handshake cannot be completed then. It keeps what was sent.
type deaf struct {
	inside, outside *net.UDPConn
	edge            *net.UDPAddr
	is              atomic.Bool
	whose           atomic.Pointer[net.UDPAddr]

	mu   sync.Mutex
	sent [][]byte // while deaf
}

func newDeaf(t *testing.T, edge *net.UDPAddr) *deaf {
	open := func() *net.UDPConn {
		return must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	}
	d := &deaf{inside: open(), outside: open(), edge: edge}
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(d.inside, d.send) })
	pumps.Go(func() {
		pump(d.outside, func(packet []byte, _ *net.UDPAddr) {
			if !d.is.Load() {
				_, _ = d.inside.WriteTo(packet, d.whose.Load())
			}
		})
	})
	t.Cleanup(func() { d.inside.Close(); d.outside.Close(); pumps.Wait() })
	return d
}

func (d *deaf) send(packet []byte, from *net.UDPAddr) {
	d.whose.Store(from)
	if d.is.Load() {
		d.mu.Lock()
		d.sent = append(d.sent, bytes.Clone(packet))
		d.mu.Unlock()
	}
	_, _ = d.outside.WriteTo(packet, d.edge)
}

// replay sends again what the device sent, from elsewhere.
func (d *deaf) replay(t *testing.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	thief := must[net.Conn](t)(net.Dial("udp4", d.edge.String()))
	defer thief.Close()
	for _, packet := range d.sent {
		must[int](t)(thief.Write(packet))
	}
}

// sleeper is a device that has been connected before.
type sleeper struct {
	*bench
	*deaf
	conf    *tls.Config
	entered chan *http.Request
}

func newSleeper(t *testing.T, alpn string, change func(*Config)) *sleeper {
	s := &sleeper{entered: make(chan *http.Request, 10)}
	s.bench, _ = newMQTTBench(t, func(c *Config) {
		c.EarlyData, c.ClientAuth = true, Required
		c.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			device, _ := DeviceFrom(r.Context())
			body, _ := io.ReadAll(r.Body)
			s.entered <- r
			fmt.Fprint(w, r.Method, " ", device.ID, " ", r.Header.Get(earlyData), " ", string(body))
		})
		if change != nil {
			change(c)
		}
	})
	s.deaf = newDeaf(t, s.udp)
	s.conf = s.clientTLS(s.device(t, "d1"))
	s.conf.NextProtos, s.conf.ClientSessionCache = []string{alpn}, newTickets()
	first := s.dialEarly(t)
	<-first.HandshakeComplete()
	select {
	case <-s.conf.ClientSessionCache.(*ticketCache).came:
	case <-time.After(5 * time.Second):
		t.Fatal("no ticket came")
	}
	check(t, first.CloseWithError(0, ""))
	eventually(t, "the first connection has ended", func() bool { return s.Connections() == 0 })
	return s
}

// ticketCache tells when a ticket has come.
type ticketCache struct {
	tls.ClientSessionCache
	came chan struct{}
}

func newTickets() *ticketCache {
	return &ticketCache{tls.NewLRUClientSessionCache(1), make(chan struct{}, 10)}
}

func (c *ticketCache) Put(key string, session *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, session)
	if session != nil {
		c.came <- struct{}{}
	}
}

func (s *sleeper) dialEarly(t *testing.T) *quic.Conn {
	t.Helper()
	socket := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	dialer := &quic.Transport{Conn: socket}
	t.Cleanup(func() { dialer.Close(); socket.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn := must[*quic.Conn](t)(dialer.DialEarly(ctx, s.inside.LocalAddr(), s.conf, &quic.Config{}))
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

// ask sends a request at once, whatever its method.
func (s *sleeper) ask(t *testing.T, method string) (*quic.Conn, *http3.RequestStream) {
	t.Helper()
	conn := s.dialEarly(t)
	str := must[*http3.RequestStream](t)((&http3.Transport{}).NewClientConn(conn).OpenRequestStream(t.Context()))
	check(t, str.SendRequestHeader(must[*http.Request](t)(http.NewRequest(method, url("/"), nil))))
	check(t, str.Close())
	return conn, str
}

func (s *sleeper) answer(t *testing.T, str *http3.RequestStream) string {
	t.Helper()
	check(t, str.SetReadDeadline(time.Now().Add(5*time.Second)))
	return readAll(t, must[*http.Response](t)(str.ReadResponse()))
}

func (s *sleeper) earlyRequests(result string) float64 {
	return testutil.ToFloat64(s.metrics.early.WithLabelValues(result))
}

func (s *sleeper) wantNotServed(t *testing.T, for_ time.Duration) {
	t.Helper()
	select {
	case r := <-s.entered:
		t.Fatalf("%s was served", r.Method)
	case <-time.After(for_):
	}
}

func TestSafeRequestsAreServedInEarlyData(t *testing.T) {
	s := newSleeper(t, "h3", nil)
	for i, method := range []string{"GET", "HEAD", "OPTIONS"} {
		s.is.Store(true)
		conn, str := s.ask(t, method)
		select {
		case r := <-s.entered:
			if r.Header.Get(earlyData) != "1" {
				t.Errorf("the service was not told: %v", r.Header)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("not served before the handshake was complete")
		}
		s.is.Store(false)
		if got, want := s.answer(t, str), method+" d1 1 "; got != want && method != "HEAD" {
			t.Errorf("%q, want %q", got, want)
		}
		<-s.conf.ClientSessionCache.(*ticketCache).came
		eventually(t, "the handshake is counted", func() bool { return s.handshakes(protoQUIC, handshakeDone) == float64(i+2) })
		check(t, conn.CloseWithError(0, ""))
		if s.handshakes(protoQUIC, handshakeFailed) != 0 || s.earlyRequests(earlyServed) != float64(i+1) {
			t.Errorf("%v failed, %v served early", s.handshakes(protoQUIC, handshakeFailed), s.earlyRequests(earlyServed))
		}
	}
}

func TestOtherRequestsInEarlyDataWaitForTheHandshake(t *testing.T) {
	s := newSleeper(t, "h3", nil)
	for i, method := range []string{"POST", "DELETE", "PUT", "REPORT"} {
		s.is.Store(true)
		conn, str := s.ask(t, method)
		eventually(t, "it is held", func() bool { return s.earlyRequests(earlyHeld) == float64(i+1) })
		s.wantNotServed(t, 100*time.Millisecond)
		s.is.Store(false)
		if got, want := s.answer(t, str), method+" d1  "; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		<-s.entered
		<-s.conf.ClientSessionCache.(*ticketCache).came
		check(t, conn.CloseWithError(0, ""))
	}
}

// withContent is HEADERS and DATA of a request whose Content-Length is 2, in
// literals and entries of QPACK's static table (RFC 9204, appendix A).
func withContent(method byte) []byte {
	return append([]byte{1, 19, 0, 0, 0xc0 | method, 0xd7, 0xc1, 0x50, 9}, "localhost\x54\x012\x00\x02on"...)
}

func TestContentInEarlyDataWaitsForTheHandshake(t *testing.T) {
	for method, index := range map[string]byte{"GET": 17, "POST": 20} {
		s := newSleeper(t, "h3", nil)
		s.is.Store(true)
		stream := must[*quic.Stream](t)(s.dialEarly(t).OpenStream())
		must[int](t)(stream.Write(withContent(index)))
		check(t, stream.Close())
		eventually(t, "it is held", func() bool { return s.earlyRequests(earlyHeld) == 1 })
		s.wantNotServed(t, 50*time.Millisecond)
		s.is.Store(false)
		if r := <-s.entered; r.Method != method || r.ContentLength != 2 || r.Header.Get(earlyData) != "" {
			t.Errorf("%s, %d bytes, %v", r.Method, r.ContentLength, r.Header)
		}
	}
}

// What was recorded of a device is sent again from elsewhere, after the edge has
// forgotten the connection.
func TestEarlyDataThatIsReplayedIsNotServed(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			s := newSleeper(t, "h3", nil)
			s.is.Store(true)
			conn, str := s.ask(t, method)
			eventually(t, "it has come", func() bool { return s.earlyRequests(earlyServed)+s.earlyRequests(earlyHeld) == 1 })
			s.is.Store(false)
			s.answer(t, str)
			<-s.entered
			check(t, conn.CloseWithError(0, ""))
			eventually(t, "the connection has ended", func() bool { return s.Connections() == 0 })
			eventually(t, "a replay opens a connection", func() bool { s.replay(t); return s.Connections() == 1 })
			s.wantNotServed(t, 300*time.Millisecond)
			if early := s.earlyRequests(earlyServed) + s.earlyRequests(earlyHeld); early != 1 {
				t.Errorf("%v requests were looked at", early)
			}
		})
	}
}

// A device that lost what it was trusted for gets nothing by a ticket of before.
func TestARevokedDeviceHasNoUseOfItsTicket(t *testing.T) {
	var revoked atomic.Bool
	strange := newAuthority(t).Pool()
	for name, change := range map[string]func(*Config){
		"device": func(c *Config) { c.Revoked = func(policy.Device) bool { return revoked.Load() } },
		"certificate": func(c *Config) {
			c.RevokedCertificate = func(*x509.Certificate) bool { return revoked.Load() }
		},
		"authority": func(c *Config) {
			trusted := c.ClientCAs
			c.ClientCAs = func() *x509.CertPool {
				if revoked.Load() {
					return strange
				}
				return trusted()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			revoked.Store(false)
			s := newSleeper(t, "h3", change)
			revoked.Store(true)
			conn := s.dialEarly(t)
			if str, err := (&http3.Transport{}).NewClientConn(conn).OpenRequestStream(t.Context()); err == nil { // else it is closed already
				_ = str.SendRequestHeader(must[*http.Request](t)(http.NewRequest("GET", url("/"), nil)))
			}
			select {
			case <-conn.Context().Done():
			case <-time.After(5 * time.Second):
				t.Error("the connection stands")
			}
			s.wantNotServed(t, 50*time.Millisecond)
		})
	}
}

func TestMQTTInEarlyDataWaitsForTheHandshake(t *testing.T) {
	s := newSleeper(t, "mqtt", nil)
	s.is.Store(true)
	conn := s.dialEarly(t)
	stream := &streamConn{must[*quic.Stream](t)(conn.OpenStream()), conn}
	must[int](t)(stream.Write(mqttConnect))
	eventually(t, "it has come", func() bool { return s.Connections() == 1 })
	time.Sleep(100 * time.Millisecond)
	if list := s.open(); len(list) != 0 {
		t.Fatal("the connection is served already")
	}
	s.is.Store(false)
	exchangeMQTT(t, stream, nil, mqttConnack)
	if !conn.ConnectionState().Used0RTT {
		t.Error("no early data was sent")
	}
}

func TestEarlyDataIsOffUnlessAskedFor(t *testing.T) {
	s := newSleeper(t, "h3", func(c *Config) { c.EarlyData = false })
	conn := s.dialEarly(t)
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http3.MethodGet0RTT, url("/"), nil))
	if body := read3(t, (&http3.Transport{}).NewClientConn(conn), req); body != "GET d1  " || conn.ConnectionState().Used0RTT {
		t.Errorf("%q, early %v", body, conn.ConnectionState().Used0RTT)
	}
}

// A drain and a close do not wait for devices whose handshake does not go on.
func TestEarlyConnectionsDoNotHoldUpTheEnd(t *testing.T) {
	for name, end := range map[string]func(*bench) error{
		"close": (*bench).Close,
		"drain": func(b *bench) error { return b.Shutdown(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSleeper(t, "h3", nil)
			s.is.Store(true)
			s.ask(t, "GET")
			<-s.entered
			began := time.Now()
			check(t, end(s.bench))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestTicketsBringEarlyDataOnce(t *testing.T) {
	u := &tickets{kept: 3}
	for i := range 20 {
		ticket := fmt.Append(nil, i)
		if at := time.Duration(i); !u.first(ticket, at, at) {
			t.Errorf("ticket %d is not taken", i)
		}
		for old := range i + 1 {
			if u.first(fmt.Append(nil, old), time.Duration(old), time.Duration(i)) {
				t.Fatalf("ticket %d is taken again after %d", old, i)
			}
		}
		if len(u.used) > 3 || len(u.before) > 3 {
			t.Fatal("it grows")
		}
	}
	if u.first([]byte("unused"), 2, 20) {
		t.Error("one that may have been forgotten is taken")
	}
}

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// probeEvents counts what a prober reports.
type probeEvents struct {
	heard, rtts, vectors, ticks atomic.Int64
	want                        atomic.Bool
	last                        atomic.Pointer[string]
	vector                      atomic.Pointer[string]
	minRTT                      atomic.Int64
}

func newProbeEvents() *probeEvents { return &probeEvents{} }

func (e *probeEvents) status() string {
	if s := e.last.Load(); s != nil {
		return *s
	}
	return ""
}

func (e *probeEvents) listen(c *MeshConfig) {
	c.Probes.Heard = func(Peer, time.Time) { e.heard.Add(1) }
	c.Probes.RTT = func(_ Peer, d time.Duration, _ time.Time) {
		e.rtts.Add(1)
		if old := e.minRTT.Load(); old == 0 || int64(d) < old {
			e.minRTT.Store(int64(d))
		}
	}
	c.Probes.Status = func(_ Peer, s []byte) { text := string(s); e.last.Store(&text) }
	c.Probes.WantVector = func(Peer, []byte) ([]byte, bool) { return []byte("what I have"), e.want.Load() }
	c.Probes.VectorPulled = func(_ Peer, frame []byte) {
		text := string(frame)
		e.vector.Store(&text)
		e.vectors.Add(1)
	}
	c.Probes.Tick = func(time.Time) { e.ticks.Add(1) }
}

func TestProbesMeasureHearAndCarryTheStatus(t *testing.T) {
	a := newTestAuthority(t)
	near, far := newProbeEvents(), newProbeEvents()
	var status atomic.Pointer[[]byte]
	first := []byte("one")
	status.Store(&first)
	eu := startSite(t, a, "eu-1", "a", near.listen)
	us := startSite(t, a, "us-1", "b", far.listen, func(c *MeshConfig) {
		c.Probes.Answer = func(from Peer) []byte {
			if from != eu.cfg.Self {
				t.Error("answering", from)
			}
			return *status.Load()
		}
	})
	eu.Probe([]Endpoint{us.endpoint(), eu.endpoint()})
	eventually(t, 3*time.Second, "probes answered", func() bool {
		return near.rtts.Load() >= 5 && near.heard.Load() >= 5 && near.status() == "one"
	})
	if rtt := time.Duration(near.minRTT.Load()); rtt <= 0 || rtt > 50*time.Millisecond {
		t.Errorf("RTT on loopback: %v", rtt)
	}
	if far.heard.Load() != 0 {
		t.Error("what a peer sends by itself counts as life: it may not be reached")
	}
	if near.ticks.Load() < 5 {
		t.Error("ticks:", near.ticks.Load())
	}
	second := bytes.Repeat([]byte("2"), maxStatus)
	status.Store(&second)
	eventually(t, 2*time.Second, "new status", func() bool { return near.status() == string(second) })

	eu.Probe(nil)
	eventually(t, 2*time.Second, "probing over", func() bool {
		eu.mu.Lock()
		defer eu.mu.Unlock()
		return len(eu.tracked) == 0
	})
	heard := near.heard.Load()
	ticks := near.ticks.Load()
	eventually(t, 2*time.Second, "two more ticks", func() bool { return near.ticks.Load() >= ticks+2 })
	if near.heard.Load() > heard+1 {
		t.Error("heard of a peer that is not probed any more")
	}
}

func TestTooLongAStatusIsNotSent(t *testing.T) {
	a := newTestAuthority(t)
	events := newProbeEvents()
	eu := startSite(t, a, "eu-1", "a", events.listen)
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) {
		c.Probes.Answer = func(Peer) []byte { return make([]byte, maxStatus+1) }
	})
	eu.Probe([]Endpoint{us.endpoint()})
	eventually(t, 3*time.Second, "answers", func() bool { return events.rtts.Load() >= 3 })
	if events.last.Load() != nil {
		t.Error("status", events.status())
	}
}

func TestVectorIsPulledOnlyWhenAnnounced(t *testing.T) {
	a := newTestAuthority(t)
	events := newProbeEvents()
	var served atomic.Int64
	vector := bytes.Repeat([]byte("v"), maxVector)
	eu := startSite(t, a, "eu-1", "a", events.listen)
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) {
		c.Probes.Answer = func(Peer) []byte { return []byte("v1") }
		c.Probes.Vector = func(have []byte) []byte {
			if string(have) != "what I have" {
				t.Errorf("served to one who has %q", have)
			}
			served.Add(1)
			return vector
		}
	})
	eu.Probe([]Endpoint{us.endpoint()})
	eventually(t, 3*time.Second, "answers", func() bool { return events.rtts.Load() >= 5 })
	if served.Load() != 0 {
		t.Fatal("pulled though nothing was announced")
	}
	events.want.Store(true)
	eventually(t, 3*time.Second, "pulled", func() bool { return events.vectors.Load() > 0 })
	events.want.Store(false)
	if got := *events.vector.Load(); got != string(vector) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestOversizedVectorIsRefused(t *testing.T) {
	if _, err := readVector(bytes.NewReader(make([]byte, maxVector+1))); err == nil {
		t.Error("accepted")
	}
	if frame, err := readVector(bytes.NewReader(make([]byte, maxVector))); err != nil || len(frame) != maxVector {
		t.Error(len(frame), err)
	}
}

func TestTunnelTrafficIsLifeToo(t *testing.T) {
	a := newTestAuthority(t)
	events := newProbeEvents()
	eu := startSite(t, a, "eu-1", "a", events.listen)
	us := startSite(t, a, "us-1", "b", handler(echoPeer))
	tunnel := tunnelTo(t, eu, us)
	if events.heard.Load() != 0 {
		t.Fatal("heard of a peer that is not probed")
	}
	// Probes lead nowhere, yet the tunnel shows that the peer lives.
	eu.Probe([]Endpoint{{us.cfg.Self, "127.0.0.1:9"}})
	eventually(t, 3*time.Second, "heard by tunnel", func() bool {
		answer(t, tunnel, request(t, t.Context(), "GET", "/", ""))
		return events.heard.Load() > 2
	})
	if events.rtts.Load() != 0 {
		t.Error("a probe was answered")
	}
}

func TestProbesComeBackAfterSilence(t *testing.T) {
	a := newTestAuthority(t)
	conn := &lossyConn{}
	events := newProbeEvents()
	eu := startSite(t, a, "eu-1", "a", events.listen, lossy(conn))
	us := startSite(t, a, "us-1", "b")
	eu.Probe([]Endpoint{us.endpoint()})
	eventually(t, 3*time.Second, "answers", func() bool { return events.rtts.Load() >= 2 })
	conn.cut.Store(true)
	ticks := events.ticks.Load()
	eventually(t, 2*time.Second, "silence", func() bool { return events.ticks.Load() > ticks+4 })
	before := events.heard.Load()
	ticks = events.ticks.Load()
	eventually(t, 2*time.Second, "more silence", func() bool { return events.ticks.Load() > ticks+4 })
	if events.heard.Load() != before {
		t.Error("heard in silence")
	}
	conn.cut.Store(false)
	rtts := events.rtts.Load()
	eventually(t, 500*time.Millisecond, "answers at once when the path is back", func() bool { return events.rtts.Load() > rtts })
}

func TestProbeFloodIsNotAnswered(t *testing.T) {
	a := newTestAuthority(t)
	var answers atomic.Int64
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) {
		c.Limits.ProbesPerSecond = 10
		c.Probes.Answer = func(Peer) []byte { answers.Add(1); return nil }
	})
	conn := dialProbe(t, us, issued(t)(a.IssueMesh("eu-1", "a", 0)))
	for seq := range uint64(200) {
		if err := conn.SendDatagram(appendPing(nil, seq)); err != nil {
			t.Fatal(err)
		}
	}
	for _, junk := range [][]byte{nil, {9}, {probePing}, appendPong(nil, 1, nil)} {
		if err := conn.SendDatagram(junk); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 3*time.Second, "some answers", func() bool { return answers.Load() >= 10 })
	if n := answers.Load(); n > 30 {
		t.Errorf("%d answers to a flood", n)
	}
	if conn.Context().Err() != nil {
		t.Error("junk ended the connection")
	}
}

func TestUnknownStreamsOnProbeConnectionsAreReset(t *testing.T) {
	a := newTestAuthority(t)
	us := startSite(t, a, "us-1", "b", func(c *MeshConfig) { c.Probes.Vector = func([]byte) []byte { return []byte("v") } })
	conn := dialProbe(t, us, issued(t)(a.IssueMesh("eu-1", "a", 0)))
	str, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	str.Write([]byte{77})
	str.Close()
	if _, err := readVector(str); err == nil {
		t.Error("an unknown request is answered")
	}
	if frame, err := pullVector(conn, make([]byte, maxHave+1)); err != nil || string(frame) != "v" {
		t.Errorf("after that: %q, %v", frame, err)
	}
}

func dialProbe(t testing.TB, to *site, cert *tls.Certificate) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, to.addr, rawTLS(cert, alpnProbe), &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

func FuzzProbe(f *testing.F) {
	f.Add(appendPing(nil, 1))
	f.Add(appendPong(nil, 1<<63, []byte("status")))
	f.Add([]byte{probePong})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if seq, err := parsePing(datagram); err == nil && !bytes.HasPrefix(datagram, appendPing(nil, seq)) {
			t.Fatalf("%x is read as ping %d", datagram, seq)
		}
		if seq, status, err := parsePong(datagram); err == nil && !bytes.Equal(datagram, appendPong(nil, seq, status)) {
			t.Fatalf("%x is read as pong %d, %x", datagram, seq, status)
		}
	})
}

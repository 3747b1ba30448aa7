package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// pair is one TCP connection whose ends obey a Switch.
type pair struct {
	sw             *Switch
	client, server net.Conn
	at             netip.AddrPort // where the listener is
	self           netip.AddrPort // who dials
}

func tcpPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{sw: NewSwitch(nil), self: addr("127.0.0.1:7")}
	raw, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	ln := Listener(raw, p.sw)
	t.Cleanup(func() { ln.Close() })
	p.at = addrPort(ln.Addr())
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	p.client, err = Dialer((&net.Dialer{}).DialContext, p.self, p.sw)(t.Context(), "tcp", ln.Addr().String())
	must(t, err)
	p.server = <-accepted
	t.Cleanup(func() { p.client.Close(); p.server.Close() })
	return p
}

func (p *pair) send(t *testing.T, from net.Conn, s string) {
	t.Helper()
	_, err := from.Write([]byte(s))
	must(t, err)
}

func (p *pair) expect(t *testing.T, to net.Conn, want string) {
	t.Helper()
	must(t, to.SetReadDeadline(time.Now().Add(5*time.Second)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(to, got)
	must(t, err)
	if string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func expectTimeout(t *testing.T, what string, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%s: got %v, want a time-out", what, err)
	}
}

func TestCutStallsStreamsAndLosesNothing(t *testing.T) {
	for name, rule := range map[string]func(*pair) Rule{
		"everything":    func(*pair) Rule { return Rule{ID: "cut", Drop: 1} },
		"the listener":  func(p *pair) Rule { return Cut(p.at) },
		"who dialled":   func(p *pair) Rule { return Cut(p.self) },
		"only requests": func(p *pair) Rule { r := Cut(p.self); r.Direction = Out; return r },
	} {
		t.Run(name, func(t *testing.T) {
			p := tcpPair(t)
			p.send(t, p.client, "one")
			p.expect(t, p.server, "one")
			add(t, p.sw, rule(p))
			must(t, p.client.SetWriteDeadline(time.Now().Add(40*time.Millisecond)))
			_, err := p.client.Write([]byte("lost"))
			expectTimeout(t, "write", err)
			must(t, p.server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			_, err = p.server.Read(make([]byte, 1))
			expectTimeout(t, "read", err)
			p.sw.Clear()
			must(t, p.client.SetWriteDeadline(time.Time{}))
			p.send(t, p.client, "two")
			p.expect(t, p.server, "two")
			p.send(t, p.server, "back")
			p.expect(t, p.client, "back")
		})
	}
}

func TestStreamsInsideTheGroupSurviveACut(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Cut(p.at, p.self))
	p.send(t, p.client, "there")
	p.expect(t, p.server, "there")
	p.send(t, p.server, "back")
	p.expect(t, p.client, "back")
}

func TestCutHoldsBackWhatWasOnItsWayAndTheEnd(t *testing.T) {
	p := tcpPair(t)
	p.send(t, p.client, "on its way")
	add(t, p.sw, Rule{ID: "cut", Drop: 1})
	must(t, p.client.Close())
	must(t, p.server.SetReadDeadline(time.Now().Add(40*time.Millisecond)))
	_, err := p.server.Read(make([]byte, 100))
	expectTimeout(t, "read", err)
	p.sw.Clear()
	must(t, p.server.SetReadDeadline(time.Now().Add(5*time.Second)))
	got, err := io.ReadAll(p.server)
	if err != nil || string(got) != "on its way" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestReaderBlockedBeforeACutGetsNothingDuringIt(t *testing.T) {
	p := tcpPair(t)
	// Only the server's side of the path is cut: its reader already waits.
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 10)
		n, _ := p.server.Read(b)
		got <- string(b[:n])
	}()
	add(t, p.sw, Rule{ID: "cut", Drop: 1})
	raw := p.client.(*stream).Conn // past the client's own decorator
	p.send(t, raw, "late")
	select {
	case s := <-got:
		t.Fatalf("read %q through a cut", s)
	case <-time.After(50 * time.Millisecond):
	}
	p.sw.Clear()
	if s := <-got; s != "late" {
		t.Fatalf("read %q", s)
	}
}

func TestCloseEndsAStall(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Rule{ID: "cut", Drop: 1})
	failed := make(chan error, 2)
	go func() { _, err := p.client.Write([]byte("x")); failed <- err }()
	go func() { _, err := p.client.Read(make([]byte, 1)); failed <- err }()
	must(t, p.client.Close())
	for range 2 {
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	}
}

func TestDeadlineSetDuringAStallEndsIt(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Rule{ID: "cut", Drop: 1})
	failed := make(chan error, 1)
	go func() { _, err := p.client.Write([]byte("x")); failed <- err }()
	must(t, p.client.SetDeadline(time.Now().Add(10*time.Millisecond)))
	expectTimeout(t, "write", <-failed)
}

func TestDialWaitsForAPathAsForLostPackets(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Cut(p.at))
	dial := Dialer((&net.Dialer{}).DialContext, p.self, p.sw)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
	defer cancel()
	_, err := dial(ctx, "tcp", p.at.String())
	expectTimeout(t, "dial", err)
	if !errors.Is(err, ErrCut) {
		t.Fatalf("got %v, want ErrCut", err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := dial(t.Context(), "tcp", p.at.String())
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	p.sw.Clear()
	must(t, <-done)
}

func TestStreamDelayIsAddedAndKeepsOrder(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Rule{ID: "slow", Delay: 30 * time.Millisecond, Jitter: 20 * time.Millisecond})
	var want []byte
	start := time.Now()
	for i := range 200 {
		chunk := bytes.Repeat([]byte{byte(i)}, 100)
		want = append(want, chunk...)
		_, err := p.client.Write(chunk)
		must(t, err)
		if i == 150 {
			p.sw.Clear() // what follows must not overtake
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Fatalf("writing took %v: delays must not add up", took)
	}
	p.expect(t, p.server, string(want))
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Fatalf("all came after %v", took)
	}
}

func TestCloseSendsWhatIsDelayed(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Rule{ID: "slow", Delay: 50 * time.Second})
	p.send(t, p.client, "last words")
	must(t, p.client.Close())
	p.sw.Clear()
	must(t, p.server.SetReadDeadline(time.Now().Add(5*time.Second)))
	got, err := io.ReadAll(p.server)
	if err != nil || string(got) != "last words" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestDelayedBytesOfAStreamAreBounded(t *testing.T) {
	p := tcpPair(t)
	add(t, p.sw, Rule{ID: "slow", Delay: 50 * time.Second})
	must(t, p.client.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	var sent int
	var err error
	for err == nil && sent < 4*mostUnsent {
		var n int
		n, err = p.client.Write(make([]byte, 64<<10))
		sent += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent > mostUnsent {
		t.Fatalf("%d bytes were taken, then %v", sent, err)
	}
}

func TestForgottenConnectionsLeaveNothingInTheSwitch(t *testing.T) {
	p := tcpPair(t)
	must(t, p.client.Close())
	p.sw.known.mu.RLock()
	defer p.sw.known.mu.RUnlock()
	if len(p.sw.known.standIn) != 0 || p.sw.known.sockets[p.self] != 0 {
		t.Fatalf("left behind: %v %v", p.sw.known.standIn, p.sw.known.sockets)
	}
}

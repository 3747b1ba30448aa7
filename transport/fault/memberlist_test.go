package fault

import (
	"errors"
	"io"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func transportFor(t *testing.T, sw *Switch) (memberlist.NodeAwareTransport, netip.AddrPort) {
	t.Helper()
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0),
	})
	must(t, err)
	tr := Memberlist(inner, sw)
	ip, port, err := tr.FinalAdvertiseAddr("", 0)
	must(t, err)
	self, _ := netip.AddrFromSlice(ip)
	return tr, netip.AddrPortFrom(self.Unmap(), uint16(port))
}

func node(t *testing.T, name string, sw *Switch) (*memberlist.Memberlist, netip.AddrPort) {
	t.Helper()
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name, cfg.LogOutput = name, io.Discard
	cfg.BindAddr, cfg.BindPort = "127.0.0.1", 0
	cfg.ProbeInterval, cfg.ProbeTimeout = 50*time.Millisecond, 20*time.Millisecond
	cfg.SuspicionMult, cfg.GossipInterval, cfg.TCPTimeout = 1, 20*time.Millisecond, 300*time.Millisecond
	cfg.PushPullInterval, cfg.DeadNodeReclaimTime = 200*time.Millisecond, time.Second
	tr, self := transportFor(t, sw)
	cfg.Transport, cfg.AdvertiseAddr, cfg.AdvertisePort = tr, "127.0.0.1", int(self.Port())
	list, err := memberlist.Create(cfg)
	must(t, err)
	t.Cleanup(func() { must(t, list.Shutdown()) })
	return list, self
}

func TestCutMemberIsSeenDeadAndComesBack(t *testing.T) {
	sw := NewSwitch(nil)
	a, atA := node(t, "a", sw)
	b, _ := node(t, "b", sw)
	c, atC := node(t, "c", sw)
	for _, list := range []*memberlist.Memberlist{b, c} {
		_, err := list.Join([]string{atA.String()})
		must(t, err)
	}
	eventually(t, 5*time.Second, "three members", func() bool { return a.NumMembers() == 3 && c.NumMembers() == 3 })
	add(t, sw, Cut(atC))
	eventually(t, 5*time.Second, "c alone", func() bool { return a.NumMembers() == 2 && b.NumMembers() == 2 && c.NumMembers() == 1 })
	_, err := c.Join([]string{atA.String()})
	if err == nil {
		t.Fatal("joined through a cut")
	}
	sw.Clear()
	_, err = c.Join([]string{atA.String()})
	must(t, err)
	eventually(t, 5*time.Second, "three members again", func() bool { return a.NumMembers() == 3 && c.NumMembers() == 3 })
}

func TestGossipPacketsAreLostOrDelayed(t *testing.T) {
	sw := NewSwitch(nil)
	a, _ := transportFor(t, sw)
	b, atB := transportFor(t, sw)
	defer a.Shutdown()
	defer b.Shutdown()
	send := func(s string) {
		_, err := a.WriteTo([]byte(s), atB.String())
		must(t, err)
	}
	add(t, sw, Rule{ID: "r", Drop: 1})
	send("lost")
	select {
	case p := <-b.PacketCh():
		t.Fatalf("%q got through", p.Buf)
	case <-time.After(50 * time.Millisecond):
	}
	add(t, sw, Rule{ID: "r", Delay: 40 * time.Millisecond})
	start := time.Now()
	send("slow")
	if p := <-b.PacketCh(); string(p.Buf) != "slow" || time.Since(start) < 40*time.Millisecond {
		t.Fatalf("%q after %v", p.Buf, time.Since(start))
	}
}

func TestGossipStreamsObeyTheSwitch(t *testing.T) {
	sw := NewSwitch(nil)
	a, _ := transportFor(t, sw)
	b, atB := transportFor(t, sw)
	defer a.Shutdown()
	defer b.Shutdown()
	out, err := a.DialTimeout(atB.String(), time.Second)
	must(t, err)
	defer out.Close()
	in := <-b.StreamCh()
	defer in.Close()
	add(t, sw, Cut(atB))
	must(t, out.SetWriteDeadline(time.Now().Add(30*time.Millisecond)))
	_, err = out.Write([]byte("x"))
	expectTimeout(t, "write", err)
	_, err = a.DialTimeout(atB.String(), 30*time.Millisecond)
	expectTimeout(t, "dial", err)
	if !errors.Is(err, ErrCut) {
		t.Fatalf("got %v, want ErrCut", err)
	}
}

func TestShutdownEndsAWaitingDialAndHeldPackets(t *testing.T) {
	sw := NewSwitch(nil)
	a, atA := transportFor(t, sw)
	b, atB := transportFor(t, sw)
	_, err := a.WriteTo([]byte("nobody reads"), atB.String())
	must(t, err)
	add(t, sw, Rule{ID: "slow", Delay: time.Minute, From: Party{Addrs: []netip.AddrPort{atB}}})
	_, err = b.WriteTo([]byte("held"), atA.String())
	must(t, err)
	add(t, sw, Rule{ID: "cut", Drop: 1})
	failed := make(chan error, 1)
	go func() { _, err := a.DialTimeout(atB.String(), time.Minute); failed <- err }()
	must(t, a.Shutdown())
	if err := <-failed; err == nil {
		t.Fatal("dialled through a cut")
	}
	must(t, b.Shutdown())
}

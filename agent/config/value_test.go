package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/mqtt"
)

func TestSizesAreBinaryAndWhole(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "512": 512, "1B": 1, "16KiB": 16384, "2 MiB": 2 << 20, "1GiB": 1 << 30} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5KiB", "16kb", "1TB", "9223372036854775807KiB"} {
		if got, err := ParseSize(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseSize(%q) = %d, %v, want ErrInvalid", text, got, err)
		}
	}
	for _, text := range []string{"512B", "16KiB", "3MiB", "1GiB", "0B"} {
		if size, err := ParseSize(text); err != nil || size.String() != text {
			t.Errorf("%q comes back as %q, %v", text, size, err)
		}
	}
}

func TestAdvertisedAddressIsOneOthersCanReach(t *testing.T) {
	machine := func(addrs ...string) func() []netip.Addr {
		var out []netip.Addr
		for _, a := range addrs {
			out = append(out, netip.MustParseAddr(a))
		}
		return func() []netip.Addr { return out }
	}
	for _, c := range []struct {
		addr, explicit string
		machine        []string
		want           string
	}{
		{":7444", "203.0.113.5:9", nil, "203.0.113.5:9"},
		{"192.0.2.7:7444", "", nil, "192.0.2.7:7444"},
		{":7444", "", []string{"127.0.0.1", "203.0.113.1", "10.0.0.5", "10.0.0.6"}, "10.0.0.5:7444"},
		{"0.0.0.0:7444", "", []string{"127.0.0.1", "203.0.113.1"}, "203.0.113.1:7444"},
		{"[::]:7444", "", []string{"::1", "fe80::1", "2001:db8::1"}, "[2001:db8::1]:7444"},
	} {
		if got, err := advertise(c.addr, c.explicit, machine(c.machine...)); err != nil || got != c.want {
			t.Errorf("advertise(%q, %q, %v) = %q, %v, want %q", c.addr, c.explicit, c.machine, got, err, c.want)
		}
	}
	if _, err := advertise(":7444", "", machine("127.0.0.1", "::1", "169.254.1.1")); !errors.Is(err, ErrNoAddress) {
		t.Errorf("got %v, want ErrNoAddress", err)
	}
}

func TestPlainHTTPBeyondThisMachineIsAWarning(t *testing.T) {
	values := place(t)
	values["listeners.egress.addr"] = "0.0.0.0:7080"
	values["listeners.egress.token"] = "0123456789abcdef"
	got, err := load(t, "", values, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || got.Warnings[0] != "listeners.egress.addr: 0.0.0.0:7080 speaks plain HTTP beyond this machine" {
		t.Errorf("warnings = %q", got.Warnings)
	}
}

func TestCertificateOutOfItsDatesIsAWarning(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		from, to time.Time
		want     string
	}{
		{now.Add(-time.Hour), now.Add(time.Hour), ""},
		{now.Add(-48 * time.Hour), now.Add(-time.Hour), "expired on"},
		{now.Add(time.Hour), now.Add(2 * time.Hour), "not valid before"},
	} {
		l := newLoader(noEnv)
		leaf := &x509.Certificate{NotBefore: c.from, NotAfter: c.to}
		l.dates("tls.edge.cert", "edge.pem", &Identity{Certificate: tls.Certificate{Leaf: leaf}})
		if got := strings.Join(l.config.Warnings, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("from %v to %v: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestKeyringIsDecodedInOrder(t *testing.T) {
	g := Gossip{Keys: []Secret{testKey, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}
	ring := g.Keyring()
	if len(ring) != 2 || string(ring[0]) != "01234567890123456789012345678901" || len(ring[1]) != 32 {
		t.Errorf("keyring = %q, want both keys in order", ring)
	}
}

// The edge's documented defaults are the configuration's: one truth.
func TestDefaultLimitsAreThoseOfTheEdge(t *testing.T) {
	l, e := DefaultLimits(), edge.DefaultLimits()
	got := edge.Limits{
		MaxHeaderBytes: int(l.MaxHeaderBytes), MaxHeaderFields: l.MaxHeaderFields,
		StreamsPerConnection: l.StreamsPerConnection, ConnectionsPerAgent: l.Connections,
		ConnectionsPerSource: l.ConnectionsPerSource, HandshakeRate: float64(l.HandshakesPerSecond),
		RetryAbove: float64(l.RetryAbove), IdleTimeout: l.IdleTimeout, KeepAlive: l.KeepAlive,
		HeaderTimeout: l.HeaderTimeout, BodyIdle: l.BodyTimeout,
	}
	e.HandshakeRate = 0 // follows the processors there
	if got != e {
		t.Errorf("got %+v, the edge's are %+v", got, e)
	}
	q := mqtt.DefaultLimits()
	if int(l.MQTTPacket) != q.MaxPacket || l.MQTTInFlight != q.InFlight || l.MQTTSessionExpiry != q.SessionExpiry || l.MQTTKeepAlive != q.KeepAlive {
		t.Errorf("got %+v, those of MQTT are %+v", l, q)
	}
}

func TestATokenOfDevelopmentIsWarnedOf(t *testing.T) {
	got, err := load(t, `
		listeners {
		  edge { addr = "127.0.0.1:7443" }
		}
		tls {
		  edge { client_auth = "optional" }
		}
		identity { dev_token = "hunter2hunter2hunter2" }`, place(t), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "identity.dev_token is set: whoever knows it is any device.") || strings.Contains(got.Warnings[0], "hunter2") {
		t.Errorf("warnings = %q", got.Warnings)
	}
}

func TestBalancersAreAddressesOrPrefixes(t *testing.T) {
	got, err := EdgeBind{ProxyFrom: []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"}}.ProxyPrefixes()
	if err != nil || fmt.Sprint(got) != "[10.0.0.0/8 192.0.2.1/32 2001:db8::/32 ::1/128]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"", "10.0.0.0/33", "host", "fe80::1%eth0", "::ffff:10.0.0.1", "10.0.0.1:80"} {
		if got, err := (EdgeBind{ProxyFrom: []string{wrong}}).ProxyPrefixes(); err == nil {
			t.Errorf("%q is taken for %v", wrong, got)
		}
	}
}

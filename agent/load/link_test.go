package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// publications is what an edge does with what is published to it.
type publications struct {
	server *mqtt.Server

	mu  sync.Mutex
	got map[string]int // by topic
}

func (p *publications) Identify(context.Context, tls.ConnectionState, mqtt.Credentials) (policy.Device, error) {
	return policy.Device{}, nil
}

func (p *publications) Ordered(*mqtt.Publication) bool { return false }

func (*publications) Subscribe(policy.Device, string) bool { return true }

func (*publications) Changed(string) {}

func (p *publications) Publish(_ context.Context, pub *mqtt.Publication) mqtt.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[pub.Topic]++
	switch {
	case strings.HasSuffix(pub.Topic, "busy"):
		return mqtt.Verdict{Result: mqtt.Busy, Code: mqtt.QuotaExceeded, Reason: "overload"}
	case strings.HasSuffix(pub.Topic, "forbidden"):
		return mqtt.Verdict{Result: mqtt.Refused, Code: mqtt.NotAuthorized}
	case len(pub.Payload) != 10 || len(pub.Properties) != 2 || pub.Properties[0] != mqtt.Property{Key: "X-Kind", Value: "k"} || pub.Properties[1].Value != "1.5":
		return mqtt.Verdict{Result: mqtt.Refused, Code: mqtt.PayloadFormatInvalid}
	}
	return mqtt.Verdict{}
}

// realEdge is an agent's edge without the agent, on UDP and TCP.
func realEdge(t *testing.T, h http.HandlerFunc) (Config, *publications) {
	t.Helper()
	ca, err := transport.NewAuthority("load test", "load.test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueEdge([]string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.CertPEM())
	pubs := &publications{got: map[string]int{}}
	server, err := mqtt.New(mqtt.Config{Handler: pubs})
	if err != nil {
		t.Fatal(err)
	}
	pubs.server = server
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	e, err := edge.Listen(edge.Config{Conn: udp, TCP: tcp, Certificate: func() *tls.Certificate { return &pair },
		ClientCAs: func() *x509.CertPool { return pool }, TrustDomain: "load.test", MQTT: server, Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() {
		server.Close()
		_ = e.Close()
		_ = udp.Close()
	})
	return Config{
		Edges: []Edge{{Region: "eu-1", Addr: tcp.Addr().String()}}, TLS: &tls.Config{RootCAs: pool},
		Kinds:   []Kind{{Name: "alarm", Class: policy.Critical, Method: "POST", Path: "/d/{device}", Body: 10, Weight: 1, Header: map[string]string{"X-Kind": "k"}}},
		Devices: 4, Rate: 100, Duration: time.Second, Deadline: 1500 * time.Millisecond,
	}, pubs
}

func TestMessagesArePublishedOverMQTT(t *testing.T) {
	for _, over := range []string{OverMQTTQUIC, OverMQTTTLS} {
		t.Run(over, func(t *testing.T) {
			cfg, pubs := realEdge(t, nil)
			cfg.Over = over
			cfg.Kinds = append(cfg.Kinds,
				Kind{Name: "shed", Class: policy.Bulk, Path: "/busy", Weight: 1}, Kind{Name: "kept out", Class: policy.Normal, Path: "/forbidden", Weight: 1})
			all := watched(&cfg)
			report := run(t, cfg)
			sent := int64(0)
			for class, succeeded := range map[string]func(*ClassLoad) int64{
				"critical": func(c *ClassLoad) int64 { return c.Succeeded }, "bulk": func(c *ClassLoad) int64 { return c.Shed },
				"normal": func(c *ClassLoad) int64 { return c.Failed },
			} {
				c := report.Classes[class]
				if sent += c.Sent; c.Sent == 0 || succeeded(c) != c.Sent {
					t.Errorf("%s: %+v", class, c)
				}
			}
			for _, r := range *all {
				if r.Outcome() == Shed && r.Reason != "overload" || r.Kind.Class == policy.Normal && r.Status != 403 {
					t.Errorf("%+v", r)
				}
			}
			pubs.mu.Lock()
			defer pubs.mu.Unlock()
			if sent != 100 || report.Over != over || len(pubs.got) != 6 {
				t.Errorf("%d sent over %s, topics %v", sent, report.Over, pubs.got)
			}
		})
	}
}

// A device has more to send than the edge takes at a time, and waits.
func TestPublishingKeepsToWhatTheEdgeTakes(t *testing.T) {
	cfg, _ := realEdge(t, nil)
	cfg.Over, cfg.Devices, cfg.Rate, cfg.Duration = OverMQTTTLS, 1, 2000, 200*time.Millisecond
	if c := run(t, cfg).Classes["critical"]; c.Succeeded != 400 {
		t.Errorf("%+v", c)
	}
}

func TestDevicesComeBackAfterAStorm(t *testing.T) {
	for _, over := range overs {
		t.Run(over, func(t *testing.T) {
			var served atomic.Int64
			cfg, _ := realEdge(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
			cfg.Over, cfg.Idle, cfg.Duration = over, 6, 4*time.Second
			cfg.Storms = []Storm{{At: 500 * time.Millisecond}}
			var held atomic.Int64
			cfg.Observe = func(r Result) {
				if r.Latency > 20*time.Millisecond {
					held.Add(1)
				}
			}
			report := run(t, cfg)
			if c := report.Classes["critical"]; c.Sent != 400 || c.Succeeded != 400 {
				t.Errorf("%+v", c)
			}
			if over == OverHTTP3 && served.Load() < 400 {
				t.Errorf("%d served", served.Load())
			}
			if len(report.Storms) != 1 || *report.Idle != (IdleReport{6, 0}) {
				t.Fatalf("%d storms, idle %+v", len(report.Storms), report.Idle)
			}
			s := report.Storms[0]
			if s.Devices != 10 || s.Back != 10 || s.Seconds == nil || *s.Seconds > 3 || s.Attempts < 10 || s.CriticalP99 < 20 || held.Load() == 0 {
				t.Errorf("%s; %d were held up", s, held.Load())
			}
		})
	}
}

// Storms come again and again, one at a time. Who is kept out is counted.
func TestAStormThatNobodyComesBackFrom(t *testing.T) {
	cfg, _ := realEdge(t, nil)
	cfg.Over, cfg.Duration, cfg.Timeout = OverMQTTTLS, 2*time.Second, time.Second
	cfg.Storms = []Storm{{At: 200 * time.Millisecond, Every: 100 * time.Millisecond}}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Edges = append(cfg.Edges, Edge{Region: "us-1", Addr: dead.Addr().String()})
	_ = dead.Close()
	cfg.Moves = []Move{{Region: "eu-1", From: 100 * time.Millisecond}, {Region: "us-1", Until: 100 * time.Millisecond}}
	report := run(t, cfg)
	if len(report.Storms) != 1 {
		t.Fatalf("%d storms at a time", len(report.Storms))
	}
	if s := report.Storms[0]; s.Seconds != nil || s.Back != 0 || s.Refused != s.Attempts || !strings.Contains(s.String(), "0 of 4 came back") {
		t.Errorf("%s", s)
	}
}

func TestIdleConnectionsThatEndAreLost(t *testing.T) {
	var once sync.Once
	cfg, pubs := realEdge(t, nil)
	cfg.Over, cfg.Idle = OverMQTTTLS, 3
	cfg.Observe = func(Result) { once.Do(pubs.server.Close) }
	if r := run(t, cfg).Idle; *r != (IdleReport{3, 3}) {
		t.Errorf("%+v", r)
	}
}

func TestIdleDevicesThatAreKeptOutFailTheLoad(t *testing.T) {
	cfg, _ := realEdge(t, nil)
	cfg.Idle, cfg.Timeout = 2, 300*time.Millisecond
	cfg.Edges[0].Addr = "127.0.0.1:1"
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "idle device-") {
		t.Errorf("%v", err)
	}
}

func TestAStormOutOfTimeIsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*Config){
		"nothing lies before": func(c *Config) { c.Storms = []Storm{{At: -1}} },
		"the load is over":    func(c *Config) { c.Storms = []Storm{{At: time.Second}} },
		"-1 idle devices":     func(c *Config) { c.Idle = -1 },
		`over "carrier"`:      func(c *Config) { c.Over = "carrier" },
	} {
		cfg := edgeOf(t, nil)
		spoil(&cfg)
		if _, err := Run(t.Context(), cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

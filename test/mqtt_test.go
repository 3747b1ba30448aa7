package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/test/mesh"
	"github.com/tidegate/tidegate/transport"
)

const mqttPolicy = `
service "inbox" {}
service "far" {}
service "site" {}
route "page" {
  match { path = "/page/{file}" }
  anonymous = true
  forward { service = "site" }
}
route "gathered" {
  match { path = "/devices/{id}/gathered/{rest...}" }
  forward { service = "far" }
  rewrite { path = "/events" }
  batch { messages = 5 }
}
route "all" {
  match { path = "/devices/{id}/{rest...}" }
  forward { service = "inbox" }
}
access "own" {
  allow {
    methods = ["PUBLISH", "POST"]
    path    = "/devices/${device.id}/{rest...}"
  }
  allow { subscribe = ["commands/${device.id}/#"] }
}
access "services" {
  services = ["*"]
  allow { command = ["commands/${device.id}/#"] }
}`

// inbox is a service that keeps what it gets.
type inbox struct {
	mu  sync.Mutex
	got []letter
}

type letter struct{ topic, id, device, body string }

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, letter{r.Header.Get("Ce-Subject"), r.Header.Get("Ce-Id"), r.Header.Get("Tidegate-Device"), string(body)})
}

func (b *inbox) count(want func(letter) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.got {
		if want(l) {
			n++
		}
	}
	return n
}

// farBox is a service that takes batches and refuses every third message.
type farBox struct {
	mu      sync.Mutex
	sizes   []int
	headers []http.Header
}

func (b *farBox) take(w http.ResponseWriter, r *http.Request) {
	var events []struct{ ID, Source, Subject string }
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sizes, b.headers = append(b.sizes, len(events)), append(b.headers, r.Header)
	type result struct {
		ID     string `json:"id"`
		Status int    `json:"status"`
	}
	answer := map[string][]result{"results": {}}
	for _, e := range events {
		if strings.HasSuffix(e.Subject, "/3") {
			answer["results"] = append(answer["results"], result{e.ID, http.StatusUnprocessableEntity})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func withBody(body string) func(letter) bool {
	return func(l letter) bool { return l.body == body }
}

// mqttMesh is two regions with an inbox in each, and files of a device's
// certificate.
type mqttMesh struct {
	*dev.Mesh
	box  *inbox
	far  *farBox
	dir  string
	cert tls.Certificate
}

func newMQTTMesh(t *testing.T) *mqttMesh {
	t.Helper()
	m := &mqttMesh{box: &inbox{}, far: &farBox{}, dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	var err error
	m.Mesh, err = dev.Start(ctx, dev.Config{Regions: 2, Agents: 1, Policy: []byte(mqttPolicy), Services: []dev.Service{
		{Name: "inbox", Handler: m.box}, {Name: "site", Handler: site()}, {Name: "far", Regions: []string{"eu-2"}, Handler: http.HandlerFunc(m.far.take)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	issued, err := m.Authority().IssueDevice("d1", map[string]string{"tenant": "acme"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m.keep(t, "device", issued)
	if m.cert, err = issued.TLS(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mqttMesh) keep(t *testing.T, name string, issued transport.Issued) {
	t.Helper()
	for file, pem := range map[string][]byte{name + ".pem": issued.CertPEM, name + ".key": issued.KeyPEM} {
		if err := os.WriteFile(filepath.Join(m.dir, file), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *mqttMesh) edge(region int) string { return m.Regions[region].Agents[0].EdgeAddr() }

func (m *mqttMesh) tls() *tls.Config {
	conf := m.TLS()
	conf.Certificates, conf.NextProtos = []tls.Certificate{m.cert}, []string{"mqtt"}
	return conf
}

// mosquitto is a client of Debian's, with the device's certificate.
func (m *mqttMesh) mosquitto(t *testing.T, program, cert string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, _ := net.SplitHostPort(m.edge(0))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, mesh.Tool(t, program, "mosquitto-clients"), append([]string{"-h", host, "-p", port, "--cafile", m.CAFile(),
		"--cert", filepath.Join(m.dir, cert+".pem"), "--key", filepath.Join(m.dir, cert+".key")}, args...)...)
}

func TestMQTTClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh and clients")
	}
	m := newMQTTMesh(t)
	t.Run("mosquitto publishes", m.mosquittoPublishes)
	t.Run("mosquitto's will", m.mosquittoWill)
	t.Run("mosquitto is refused", m.mosquittoRefused)
	t.Run("mosquitto gets commands", m.mosquittoListens)
	t.Run("mosquitto's commands wait while it is away", m.mosquittoComesBack)
	t.Run("mosquitto may not listen to another's", m.mosquittoMayNotListen)
	t.Run("paho over TLS", func(t *testing.T) { m.pahoPublishes(t, nil) })
	t.Run("paho over QUIC", func(t *testing.T) { m.pahoPublishes(t, m.dialQUIC) })
	t.Run("a batch crosses a border", m.batchCrosses)
	t.Run("paho moves to the next region", m.pahoMoves)
}

func (m *mqttMesh) mosquittoPublishes(t *testing.T) {
	large := filepath.Join(m.dir, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("large"), 40_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			body := version + " at " + qos
			for name, args := range map[string][]string{
				body:                            {"-m", body},
				strings.Repeat("large", 40_000): {"-f", large},
			} {
				before := m.box.count(withBody(name))
				cmd := m.mosquitto(t, "mosquitto_pub", "device", append([]string{"-V", version, "-q", qos, "-t", "devices/d1/t"}, args...)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", body, err, out)
				}
				awaitCount(t, body, func() bool { return m.box.count(withBody(name)) == before+1 })
			}
		}
	}
	cmd := m.mosquitto(t, "mosquitto_pub", "device", "-V", "mqttv5", "-q", "1", "--tls-alpn", "mqtt", "-t", "devices/d1/alpn", "-m", "x", "-D", "publish", "user-property", "ce-id", "own-1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with ALPN: %v: %s", err, out)
	}
	if n := m.box.count(func(l letter) bool { return l == letter{"devices/d1/alpn", "own-1", "d1", "x"} }); n != 1 {
		t.Errorf("%d with the device's own id: %+v", n, m.box.got[len(m.box.got)-1])
	}
}

// A client that is killed leaves its will, one that says goodbye does not.
func (m *mqttMesh) mosquittoWill(t *testing.T) {
	for _, killed := range []bool{true, false} {
		will := fmt.Sprint("will ", killed)
		cmd := m.mosquitto(t, "mosquitto_pub", "device", "-q", "1", "-t", "devices/d1/lines", "-l", "--will-topic", "devices/d1/gone", "--will-payload", will, "--will-qos", "1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint("line ", killed)
		fmt.Fprintln(in, line)
		awaitCount(t, "the line", func() bool { return m.box.count(withBody(line)) == 1 })
		want := 0
		if killed {
			want = 1
			_ = cmd.Process.Kill()
		}
		_ = in.Close()
		_ = cmd.Wait()
		awaitCount(t, will, func() bool { return m.box.count(withBody(will)) == want })
	}
}

// keepStranger has a certificate like the device's of another authority.
func (m *mqttMesh) keepStranger(t *testing.T) {
	t.Helper()
	stranger, err := transport.NewAuthority("stranger", "elsewhere", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := stranger.IssueDevice("d1", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m.keep(t, "stranger", issued)
}

func (m *mqttMesh) mosquittoRefused(t *testing.T) {
	m.keepStranger(t)
	for name, c := range map[string]struct {
		cert string
		args []string
		say  string
	}{
		"another's certificate":     {"stranger", []string{"-V", "mqttv5", "-q", "1", "-t", "devices/d1/t", "-m", "never"}, "Error"},
		"another's topic":           {"device", []string{"-V", "mqttv5", "-q", "1", "-t", "devices/d2/t", "-m", "never"}, "Not authorized"},
		"another's topic, 3.1.1":    {"device", []string{"-V", "mqttv311", "-q", "1", "-t", "devices/d2/t", "-m", "never"}, "connection was lost"},
		"a topic without a route":   {"device", []string{"-V", "mqttv5", "-q", "2", "-t", "devices/d1", "-m", "never"}, ""},
		"a payload that is too big": {"device", []string{"-V", "mqttv311", "-q", "1", "-t", "devices/d1/t", "-f", m.CAFile() + ".big"}, ""},
	} {
		if strings.HasSuffix(c.args[len(c.args)-1], ".big") {
			if err := os.WriteFile(c.args[len(c.args)-1], make([]byte, 300<<10), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := m.mosquitto(t, "mosquitto_pub", c.cert, c.args...).CombinedOutput()
		if !strings.Contains(string(out), c.say) || (err == nil && c.say == "") && len(out) == 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if n := m.box.count(withBody("never")); n != 0 {
		t.Errorf("%d reached the service", n)
	}
}

func awaitCount(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

type dialer func(context.Context, autopaho.ClientConfig, *url.URL) (net.Conn, error)

// paho is Eclipse's client, which connects by itself again and again.
func (m *mqttMesh) paho(t *testing.T, dial dialer, edges ...string) *autopaho.ConnectionManager {
	t.Helper()
	cfg := autopaho.ClientConfig{
		TlsCfg: m.tls(), KeepAlive: 2, CleanStartOnInitialConnection: false, SessionExpiryInterval: 60, AttemptConnection: dial,
		ReconnectBackoff: func(int) time.Duration { return 100 * time.Millisecond }, ConnectTimeout: time.Second,
		ClientConfig: paho.ClientConfig{ClientID: "paho"},
	}
	for _, edge := range edges {
		cfg.ServerUrls = append(cfg.ServerUrls, &url.URL{Scheme: "tls", Host: edge})
	}
	cm, err := autopaho.NewConnection(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cm.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = cm.Disconnect(ctx)
	})
	return cm
}

// dialQUIC opens MQTT's stream, as a client's author would.
func (m *mqttMesh) dialQUIC(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
	conn, err := quic.DialAddr(ctx, u.Host, m.tls(), &quic.Config{KeepAlivePeriod: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(&quicStream{stream, conn}), nil
}

type quicStream struct {
	*quic.Stream
	conn *quic.Conn
}

func (s *quicStream) LocalAddr() net.Addr  { return s.conn.LocalAddr() }
func (s *quicStream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }
func (s *quicStream) Close() error         { return s.conn.CloseWithError(0, "") }

func (m *mqttMesh) pahoPublishes(t *testing.T, dial dialer) {
	cm := m.paho(t, dial, m.edge(0))
	for _, qos := range []byte{0, 1, 2} {
		for i := range 20 {
			body := fmt.Sprintf("%s %d %d", t.Name(), qos, i)
			rsp, err := cm.Publish(t.Context(), &paho.Publish{QoS: qos, Topic: fmt.Sprintf("devices/d1/%d", i%3), Payload: []byte(body)})
			if err != nil || qos > 0 && rsp.ReasonCode != 0 {
				t.Fatalf("%+v, %v", rsp, err)
			}
			awaitCount(t, body, func() bool { return m.box.count(withBody(body)) == 1 })
		}
	}
	rsp, err := cm.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: "devices/d2/t", Payload: []byte("never")})
	if rsp == nil || rsp.ReasonCode != 0x87 {
		t.Errorf("another's topic: %+v, %v", rsp, err)
	}
	suback, err := cm.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "devices/d2/#"}}})
	if suback == nil || suback.Reasons[0] != 0x87 {
		t.Errorf("another's topics: %+v, %v", suback, err)
	}
}

// What gathers goes to another region in one request, and each message hears its own
// result.
func (m *mqttMesh) batchCrosses(t *testing.T) {
	cm := m.paho(t, nil, m.edge(0))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			rsp, err := cm.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: fmt.Sprintf("devices/d1/gathered/%d", i), Payload: []byte("x")})
			want := byte(0)
			if i == 3 {
				want = 0x99
			}
			if rsp == nil || rsp.ReasonCode != want {
				t.Errorf("%d: %+v, %v", i, rsp, err)
			}
		})
	}
	all.Wait()
	m.far.mu.Lock()
	defer m.far.mu.Unlock()
	messages := 0
	for i, n := range m.far.sizes {
		messages += n
		if h := m.far.headers[i]; h.Get("Tidegate-Messages") != "" || h.Get("Tidegate-Region") != "eu-1" {
			t.Errorf("%v", h)
		}
	}
	if messages != 20 || len(m.far.sizes) > 10 {
		t.Errorf("came as %d", m.far.sizes)
	}
}

// Promise: what was acknowledged reached a service, also when the agent that
// acknowledged it dies; the device goes on in the next region.
func (m *mqttMesh) pahoMoves(t *testing.T) {
	cm := m.paho(t, nil, m.edge(0), m.edge(1))
	var acknowledged []string
	killed, moved := time.Time{}, false
	for i := 0; i < 400 && !(moved && i%100 == 0); i++ {
		if i == 100 {
			killed = time.Now()
			_ = m.Regions[0].Agents[0].Close()
		}
		body := fmt.Sprint("move ", i)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		rsp, err := cm.Publish(ctx, &paho.Publish{QoS: 1, Topic: "devices/d1/move", Payload: []byte(body)})
		cancel()
		if err == nil && rsp.ReasonCode == 0 {
			if acknowledged = append(acknowledged, body); !killed.IsZero() && !moved {
				moved = true
				t.Logf("acknowledged in the next region %s after the end", time.Since(killed).Round(time.Millisecond))
			}
			continue
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !moved {
		t.Error("nothing was acknowledged after the agent's end")
	}
	for _, body := range acknowledged {
		if m.box.count(withBody(body)) == 0 {
			t.Errorf("%s: acknowledged, and lost", body)
		}
	}
	if !slices.Contains(acknowledged, "move 99") {
		t.Errorf("%d acknowledged", len(acknowledged))
	}
}

package test

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/test/mesh"
)

// site is a service that has pages, and MQTT.js for them.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/page/", http.StripPrefix("/page", http.FileServerFS(os.DirFS("pages"))))
	mux.HandleFunc("/page/mqtt.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../.cache/mqttjs/node_modules/mqtt/dist/mqtt.min.js")
	})
	return mux
}

// chromium shows a page to the device of a name, until the test ends, and finds
// nobody else.
func (m *mqttMesh) chromium(t *testing.T, page, device, transport string) *child.Process {
	t.Helper()
	program := mesh.Tool(t, "chromium", "chromium")
	dir, err := os.MkdirTemp("", "tidegate-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + m.edge(0) + "/page/" + page + "#" + device + ":" + m.DeviceToken()
	p, err := child.Start(exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+dir, "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-breakpad",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", transport, "--ignore-certificate-errors-spki-list="+m.edgeKey(t), "--enable-logging=stderr", url), filepath.Join(m.dir, page+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("Chromium said last:\n%s", p.Tail())
		}
		mesh.Await(t, 10*time.Second, func() string { // its helpers end after it
			if err := os.RemoveAll(dir); err != nil {
				return err.Error()
			}
			return ""
		})
	})
	return p
}

// edgeKey is the SHA-256 of the edge's public key, by which Chromium trusts it.
func (m *mqttMesh) edgeKey(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(m.Regions[0].Agents[0].Dir, "edge.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// handshakes are those that the edge completed over quic or tcp.
func (m *mqttMesh) handshakes(t *testing.T, proto string) (n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.Regions[0].Agents[0].AdminAddr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "tidegate_edge_handshakes_total{") && strings.Contains(line, `proto="`+proto+`",result="ok"`) {
			_, value, _ := strings.Cut(line, "} ")
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return n
		}
	}
	t.Fatal("no metric of handshakes")
	return 0
}

func (b *inbox) from(device string, want func(letter) bool) []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.got), func(l letter) bool { return l.device != device || !want(l) })
}

// A browser has an HTTP/3 of its own, and no certificate to show over it: its
// page shows a token.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh and a browser")
	}
	m := newMQTTMesh(t)
	t.Run("a page posts telemetry over HTTP/3", m.pagePosts)
	t.Run("a page speaks MQTT over WebSocket", m.pageSpeaksMQTT)
}

// pageReport is what telemetry.html says of its own requests.
type pageReport struct {
	Telemetry                         []int // status
	Large, Unknown, Stranger, Another int
	Protocols                         []string // of all requests of the page and for it
}

func (m *mqttMesh) pagePosts(t *testing.T) {
	quic, tcp := m.handshakes(t, "quic"), m.handshakes(t, "tcp")
	browser := m.chromium(t, "telemetry.html", "page", "--origin-to-force-quic-on="+m.edge(0))
	isReport := func(l letter) bool { return strings.HasPrefix(l.body, "{") }
	mesh.Await(t, 30*time.Second, func() string {
		if len(m.box.from("page", isReport)) == 0 && browser.Running() {
			return "the page's report"
		}
		return ""
	})
	reports := m.box.from("page", isReport)
	if len(reports) != 1 {
		t.Fatalf("%d reports", len(reports))
	}
	var got pageReport
	if err := json.Unmarshal([]byte(reports[0].body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Telemetry) != 20 || slices.ContainsFunc(append(got.Telemetry, got.Large), func(s int) bool { return s != http.StatusOK }) {
		t.Errorf("the page was told %+v", got)
	}
	if got.Unknown != http.StatusUnauthorized || got.Stranger != http.StatusUnauthorized || got.Another != http.StatusForbidden {
		t.Errorf("without a token, with a wrong one, for another device: %d, %d, %d", got.Unknown, got.Stranger, got.Another)
	}
	for n := range 20 {
		if came := m.box.from("page", withBody(fmt.Sprint("reading ", n))); len(came) != 1 {
			t.Errorf("reading %d came %d times", n, len(came))
		}
	}
	if large := m.box.from("page", withBody(strings.Repeat("x", 1<<20))); len(large) != 1 {
		t.Errorf("the large one came %d times", len(large))
	}
	if m.box.count(withBody("never")) != 0 {
		t.Error("what was refused reached the service")
	}
	if over := slices.Compact(got.Protocols); len(got.Protocols) <= len(got.Telemetry) || !slices.Equal(over, []string{"h3"}) {
		t.Errorf("%d requests went over %q", len(got.Protocols), over)
	}
	if q, c := m.handshakes(t, "quic")-quic, m.handshakes(t, "tcp")-tcp; q == 0 || c != 0 {
		t.Errorf("the edge saw %d handshakes over QUIC and %d over TCP", q, c)
	}
}

// The page answers a command with what was in it. It comes over TCP itself: where
// the edge asks for certificates, Chromium opens a WebSocket only to a place that
// it has shown none before.
func (m *mqttMesh) pageSpeaksMQTT(t *testing.T) {
	mqttjsModules(t)
	m.chromium(t, "mqtt.html", "d1", "--disable-quic")
	mesh.Await(t, 30*time.Second, func() string {
		if len(m.box.from("d1", withBody("the page listens"))) == 0 {
			return "the page"
		}
		return ""
	})
	m.commandReaches(t, "hello, page", "delivered")
	awaitCount(t, "the page's answer", func() bool { return len(m.box.from("d1", withBody("hello, page"))) == 1 })
}

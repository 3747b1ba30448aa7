package agent_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/renameio/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/tidegate/tidegate/agent"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/transport/token"
)

// stranger starts an agent, and is a device at its edge that shows no
// certificate.
func stranger(t *testing.T, m *dev.Mesh, cfg *config.Config) (*agent.Agent, *client) {
	t.Helper()
	a, err := agent.New(t.Context(), cfg, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	device := deviceAt(t, m, "eu-1")
	device.base = "https://" + a.EdgeAddr()
	device.h3.TLSClientConfig.Certificates = nil
	return a, device
}

// A device without a certificate is known by its token, through the policy's
// access blocks to the service, which does not see the token.
func TestATokenNamesTheDeviceToThePolicyAndTheService(t *testing.T) {
	seen := make(chan http.Header, 1)
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: accessTo(`
		access "acme" {
		  properties = { tenant = "acme" }
		  allow {}
		}`)}, service)
	cfg := spare(t, m)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Identity.JWT = &config.JWT{JWKSFile: jwks(t, public), Issuer: "id", Audience: "tidegate", Device: "sub", Properties: []string{"tenant"}, Every: time.Minute}
	_, device := stranger(t, m, cfg)
	ask := func(token string) int {
		req := device.request("GET", "/svc", nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, _ := device.do(req)
		return resp.StatusCode
	}
	acme := tokenOf(t, private, "meter-7", "acme")
	eventually(t, "the service is ready", func() bool { return ask(acme) == http.StatusOK })
	if h := <-seen; h.Get("Tidegate-Device") != "meter-7" || h.Get("Authorization") != "" {
		t.Errorf("the service saw %v", h)
	}
	for _, c := range []struct {
		what, token string
		status      int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"a bad one", acme + "x", http.StatusUnauthorized},
		{"another tenant's", tokenOf(t, private, "meter-8", "other"), http.StatusForbidden},
	} {
		if got := ask(c.token); got != c.status {
			t.Errorf("%s: status %d, want %d", c.what, got, c.status)
		}
	}
}

func jwks(t *testing.T, public ed25519.PublicKey) (file string) {
	t.Helper()
	src, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, src, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func tokenOf(t *testing.T, key ed25519.PrivateKey, device, tenant string) string {
	t.Helper()
	return signedToken(t, key, map[string]any{"sub": device, "tenant": tenant})
}

func signedToken(t *testing.T, key ed25519.PrivateKey, changes map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": "id", "aud": "tidegate", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, changes)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A device without a certificate is known by user name and password, over HTTP and
// over MQTT. The service does not see them.
func TestAPasswordNamesTheDevice(t *testing.T) {
	seen := make(chan http.Header, 10)
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: accessTo(`
		access "acme" {
		  properties = { tenant = "acme" }
		  allow {}
		}`)}, service)
	cfg := spare(t, m)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Identity.Passwords = filepath.Join(t.TempDir(), "devices.passwd")
	if err := os.WriteFile(cfg.Identity.Passwords, []byte("meter-7:"+string(hash)+":tenant=acme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, device := stranger(t, m, cfg)
	ask := func(name, password string) int {
		req := device.request("GET", "/svc", nil)
		req.SetBasicAuth(name, password)
		resp, _ := device.do(req)
		return resp.StatusCode
	}
	eventually(t, "the service is ready", func() bool { return ask("meter-7", "secret") == http.StatusOK })
	if h := <-seen; h.Get("Tidegate-Device") != "meter-7" || h.Get("Authorization") != "" {
		t.Errorf("the service saw %v", h)
	}
	for _, wrong := range [][2]string{{"meter-7", "guess"}, {"meter-8", "secret"}, {"meter-7", ""}} {
		if status := ask(wrong[0], wrong[1]); status != http.StatusUnauthorized {
			t.Errorf("%q: %d", wrong, status)
		}
	}
	for password, code := range map[string]byte{"secret": 0, "guess!": 5} {
		conn, err := tls.Dial("tcp", a.EdgeAddr(), m.TLS())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		connect := append([]byte{0x10, 29, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 60, 0, 0, 0, 7}, "meter-7\x00\x06"+password...)
		answer := make([]byte, 4)
		if _, err := conn.Write(connect); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil || answer[3] != code {
			t.Errorf("%s: CONNACK %x, %v", password, answer, err)
		}
		if code != 0 {
			continue
		}
		publish := append([]byte{0x32, 9, 0, 3}, "svc\x00\x07hi"...)
		if _, err := conn.Write(publish); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 0x40 {
			t.Errorf("%x, not PUBACK: %v", answer, err)
		}
	}
}

// A certificate that somebody else's authority made names the device by the
// configured pattern, to HTTP and to MQTT.
func TestAPatternNamesTheDeviceOfACertificate(t *testing.T) {
	seen := make(chan http.Header, 10)
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: accessTo(`
		access "acme" {
		  properties = { tenant = "acme" }
		  allow {}
		}`)}, service)
	cfg := spare(t, m)
	cfg.Identity.Certificate = &config.CertificateNames{CN: []string{"{tenant}:{id}"}}
	a, device := stranger(t, m, cfg)
	issued, err := m.Authority().IssueDevice("acme:meter-7", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	device.h3.TLSClientConfig.Certificates = []tls.Certificate{cert}
	eventually(t, "the service is ready", func() bool {
		resp, _ := device.do(device.request("GET", "/svc", nil))
		return resp.StatusCode == http.StatusOK
	})
	conf := m.TLS()
	conf.Certificates = []tls.Certificate{cert}
	conn, err := tls.Dial("tcp", a.EdgeAddr(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	talk(t, conn, append([]byte{0x10, 12, 0, 4}, "MQTT\x04\x02\x00\x3c\x00\x00"...), []byte{0x20, 2, 0, 0})
	talk(t, conn, append([]byte{0x32, 9, 0, 3}, "svc\x00\x07hi"...), []byte{0x40, 2, 0, 7})
	for _, way := range []string{"HTTP", "MQTT"} {
		if h := <-seen; h.Get("Tidegate-Device") != "meter-7" {
			t.Errorf("%s: the service saw %v", way, h)
		}
	}
}

// talk sends a packet and wants the answer.
func talk(t *testing.T, conn net.Conn, packet, want []byte) {
	t.Helper()
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, want %x: %v", got, want, err)
	}
}

// connect311 is CONNECT of MQTT 3.1.1 with a user name and a password.
func connect311(username, password string) []byte {
	body := append([]byte{0, 4}, "MQTT\x04\xc2\x00\x3c\x00\x02c1"...)
	for _, text := range []string{username, password} {
		body = append(append(body, byte(len(text)>>8), byte(len(text))), text...)
	}
	return append([]byte{0x10, byte(len(body)&0x7f | 0x80), byte(len(body) >> 7)}, body...)
}

// An operator's service names devices that the file of passwords does not know, and
// by tokens that are not signed; when it does not answer, nobody gets in and
// everybody may come back.
func TestAHookNamesTheDevice(t *testing.T) {
	seen := make(chan http.Header, 10)
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: accessTo(`
		access "acme" {
		  properties = { tenant = "acme" }
		  allow {}
		}`)}, service)
	asked := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- string(body)
		switch {
		case bytes.Contains(body, []byte("later")):
			w.WriteHeader(http.StatusInternalServerError)
		case bytes.Contains(body, []byte("right")):
			_, _ = io.WriteString(w, `{"id":"meter-9","properties":{"tenant":"acme"}}`)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer hook.Close()
	cfg := spare(t, m)
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Identity.Passwords = filepath.Join(t.TempDir(), "devices.passwd")
	if err := os.WriteFile(cfg.Identity.Passwords, []byte("meter-7:"+string(hash)+":tenant=acme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Identity.JWT = &config.JWT{JWKSFile: jwks(t, public), Issuer: "id", Audience: "tidegate", Device: "sub", Properties: []string{"tenant"}, Every: time.Minute}
	cfg.Identity.Hook = &config.Hook{URL: hook.URL, Timeout: time.Second, CacheFor: time.Minute, RefusedFor: time.Minute, MaxCached: 10, MaxInFlight: 10}
	a, device := stranger(t, m, cfg)
	ask := func(authorization string) *http.Response {
		req := device.request("GET", "/svc", nil)
		req.Header.Set("Authorization", authorization)
		resp, _ := device.do(req)
		return resp
	}
	basic := func(name, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
	}
	signed := tokenOf(t, private, "meter-8", "acme")
	eventually(t, "the service is ready", func() bool { return ask(basic("meter-7", "right")).StatusCode == http.StatusOK })
	<-seen
	for _, c := range []struct {
		what, authorization string
		status              int
		device              string
		asked               bool
	}{
		{"in the file", basic("meter-7", "right"), http.StatusOK, "meter-7", false},
		{"in the file, wrong", basic("meter-7", "wrong"), http.StatusUnauthorized, "", false},
		{"not in the file", basic("other", "right"), http.StatusOK, "meter-9", true},
		{"not in the file, wrong", basic("other", "wrong"), http.StatusUnauthorized, "", true},
		{"a signed token", "Bearer " + signed, http.StatusOK, "meter-8", false},
		{"a signed token, broken", "Bearer " + signed + "x", http.StatusUnauthorized, "", false},
		{"another token", "Bearer right", http.StatusOK, "meter-9", true},
		{"from memory", "Bearer right", http.StatusOK, "meter-9", false},
		{"no answer", "Bearer later", http.StatusServiceUnavailable, "", true},
	} {
		resp := ask(c.authorization)
		if resp.StatusCode != c.status || (resp.Header.Get("Retry-After") != "") != (c.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: status %d, want %d, %v", c.what, resp.StatusCode, c.status, resp.Header)
		}
		if c.device != "" && resp.StatusCode == http.StatusOK {
			if h := <-seen; h.Get("Tidegate-Device") != c.device || h.Get("Authorization") != "" {
				t.Errorf("%s: the service saw %v", c.what, h)
			}
		}
		if (len(asked) > 0) != c.asked {
			t.Errorf("%s: asked %v", c.what, !c.asked)
		}
		for len(asked) > 0 {
			<-asked
		}
	}
	for _, c := range []struct {
		name, password string
		code           byte
		asked          string
	}{
		{"meter-7", "right", 0, ""},
		{"ignored", signed, 0, ""},
		{"meter-7", signed, 5, ""}, // who is in the file has the password of the file
		{"other", "right", 0, `{"username":"other","password":"right","client_id":"c1","remote":"127.0.0.1"}`},
		{"other", "wrong", 5, `{"username":"other","password":"wrong","client_id":"c1","remote":"127.0.0.1"}`},
		{"", "right", 0, `{"token":"right","client_id":"c1","remote":"127.0.0.1"}`},
		{"other", "later", 3, `{"username":"other","password":"later","client_id":"c1","remote":"127.0.0.1"}`},
	} {
		conn, err := tls.Dial("tcp", a.EdgeAddr(), m.TLS())
		if err != nil {
			t.Fatal(err)
		}
		talk(t, conn, connect311(c.name, c.password), []byte{0x20, 2, 0, c.code})
		conn.Close()
		if got := strings.Join(drained(asked), " "); got != c.asked {
			t.Errorf("%s, %s: the hook was asked %q, want %q", c.name, c.password, got, c.asked)
		}
	}
}

func drained(c chan string) (all []string) {
	for len(c) > 0 {
		all = append(all, <-c)
	}
	return all
}

// In development any client is the device that it says, by the shared token; by
// another it is nobody.
func TestTheTokenOfDevelopmentMakesAnyDevice(t *testing.T) {
	seen := make(chan http.Header, 10)
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Token: "0123456789abcdef"}, service)
	device := deviceAt(t, m, "eu-1")
	device.h3.TLSClientConfig.Certificates = nil
	for _, c := range []struct {
		what, name, token string
		status            int
		device            string
	}{
		{"as a password", "meter-7", m.DeviceToken(), http.StatusOK, "meter-7"},
		{"alone", "", m.DeviceToken(), http.StatusOK, "dev"},
		{"for no device", "a/b", m.DeviceToken(), http.StatusUnauthorized, ""},
		{"another", "meter-7", m.DeviceToken() + "0", http.StatusUnauthorized, ""},
		{"another, alone", "", "x", http.StatusUnauthorized, ""},
	} {
		req := device.request("GET", "/svc", nil)
		if req.Header.Set("Authorization", "Bearer "+c.token); c.name != "" {
			req.SetBasicAuth(c.name, c.token)
		}
		resp, _ := device.do(req)
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.what, resp.StatusCode, c.status)
		}
		if resp.StatusCode == http.StatusOK && c.status == http.StatusOK {
			if h := <-seen; h.Get("Tidegate-Device") != c.device || h.Get("Authorization") != "" {
				t.Errorf("%s: the service saw %v", c.what, h)
			}
		}
		code := map[bool]byte{true: 0, false: 5}[c.status == http.StatusOK]
		conn, err := tls.Dial("tcp", m.Regions[0].Agents[0].EdgeAddr(), m.TLS())
		if err != nil {
			t.Fatal(err)
		}
		talk(t, conn, connect311(c.name, c.token), []byte{0x20, 2, 0, code})
		if code == 0 {
			talk(t, conn, append([]byte{0x32, 9, 0, 3}, "svc\x00\x07hi"...), []byte{0x40, 2, 0, 7})
			if h := <-seen; h.Get("Tidegate-Device") != c.device {
				t.Errorf("%s, MQTT: the service saw %v", c.what, h)
			}
		}
		conn.Close()
	}
}

// A connection that a token opened does not outlive it.
func TestAnMQTTConnectionEndsWithItsToken(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	cfg := spare(t, m)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Identity.JWT = &config.JWT{JWKSFile: jwks(t, public), Issuer: "id", Audience: "tidegate", Device: "sub", Every: time.Minute}
	a, _ := stranger(t, m, cfg)
	conn, err := tls.Dial("tcp", a.EdgeAddr(), m.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	soon := time.Now().Add(3 * time.Second)
	expires := soon.Add(-token.Leeway) // which it counts beyond
	talk(t, conn, connect311("", signedToken(t, private, map[string]any{"sub": "meter-7", "exp": expires.Unix()})), []byte{0x20, 2, 0, 0})
	_ = conn.SetReadDeadline(soon.Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("not closed, %v after its expiry: %v", time.Since(soon), err)
	}
	if early := time.Until(soon); early > time.Second { // exp is whole seconds
		t.Errorf("closed %v too early", early)
	}
}

// Whose password was taken out, or changed, loses what it has open; others stay.
func TestAConnectionEndsWhenItsPasswordIsTakenBack(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	cfg := spare(t, m)
	cfg.Identity.Passwords = filepath.Join(t.TempDir(), "devices.passwd")
	line := func(name string) string {
		hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return name + ":" + string(hash) + "\n"
	}
	stays, gone, changed := line("stays"), line("gone"), line("changed")
	write := func(text string) {
		t.Helper()
		if err := renameio.WriteFile(cfg.Identity.Passwords, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(stays + gone + changed)
	a, _ := stranger(t, m, cfg)
	conns := map[string]net.Conn{}
	for _, name := range []string{"stays", "gone", "changed"} {
		conn, err := tls.Dial("tcp", a.EdgeAddr(), m.TLS())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		talk(t, conn, connect311(name, "secret"), []byte{0x20, 2, 0, 0})
		conns[name] = conn
	}
	write(stays + line("changed"))
	for _, name := range []string{"gone", "changed"} {
		endsWithin(t, conns[name], 5*time.Second)
	}
	talk(t, conns["stays"], []byte{0xc0, 0}, []byte{0xd0, 0}) // PINGREQ, PINGRESP
}

func endsWithin(t *testing.T, conn net.Conn, d time.Duration) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(d))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not closed within %s: %v", d, err)
	}
}

// Whose token a key signed that is taken out loses what it has open.
func TestAConnectionEndsWhenTheKeyOfItsTokenIsTakenBack(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	cfg := spare(t, m)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := jwks(t, public)
	cfg.Identity.JWT = &config.JWT{JWKSFile: file, Issuer: "id", Audience: "tidegate", Device: "sub", Every: time.Minute}
	a, _ := stranger(t, m, cfg)
	conn, err := tls.Dial("tcp", a.EdgeAddr(), m.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	talk(t, conn, connect311("", signedToken(t, private, map[string]any{"sub": "meter-7"})), []byte{0x20, 2, 0, 0})
	a.Reload() // the same keys
	talk(t, conn, []byte{0xc0, 0}, []byte{0xd0, 0})
	if err := os.Rename(jwks(t, next), file); err != nil {
		t.Fatal(err)
	}
	a.Reload()
	endsWithin(t, conn, 5*time.Second)
}

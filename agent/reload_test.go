package agent_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/transport"
)

func TestReloadReplacesTheAuthoritiesOfDevices(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	a := m.Regions[0].Agents[0]
	next, err := transport.NewAuthority("next", m.Authority().TrustDomain(), 0)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := next.IssueDevice("meter-1", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if status := statusAs(t, m, a, cert); status != 0 {
		t.Fatalf("before: status %d for a device of an unknown authority", status)
	}
	both := slices.Concat(m.Authority().CertPEM(), next.CertPEM())
	if err := os.WriteFile(m.CAFile(), both, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Reload()
	if status := statusAs(t, m, a, cert); status != http.StatusOK {
		t.Fatalf("after: status %d", status)
	}
	if rsp, _ := deviceAtAgent(t, m, a).send(http.MethodGet, "/svc", nil); rsp.StatusCode != http.StatusOK {
		t.Fatalf("after: status %d for a device of the other authority", rsp.StatusCode)
	}
}

// A rotation: both authorities count, then the old one is taken out, and its
// devices lose what they have open.
func TestADeviceOfAnAuthorityThatIsTakenOutLosesItsConnection(t *testing.T) {
	arrived := make(chan string, 2)
	held := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get("Tidegate-Device")
		<-r.Context().Done()
	})
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, held)
	a := m.Regions[0].Agents[0]
	next, err := transport.NewAuthority("next", m.Authority().TrustDomain(), 0)
	if err != nil {
		t.Fatal(err)
	}
	trust := func(pems ...[]byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(a.Dir, "..", "ca.pem"), slices.Concat(pems...), 0o600); err != nil {
			t.Fatal(err)
		}
		a.Reload()
	}
	hold := func(by *transport.Authority, id string) <-chan error {
		t.Helper()
		issued, err := by.IssueDevice(id, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := issued.TLS()
		if err != nil {
			t.Fatal(err)
		}
		device, ended := deviceAtAgent(t, m, a), make(chan error, 1)
		device.h3.TLSClientConfig.Certificates = []tls.Certificate{cert}
		req := device.request("GET", "/svc", nil)
		go func() {
			resp, err := device.h3.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			ended <- err
		}()
		if got := <-arrived; got != id {
			t.Fatalf("%q arrived, not %q", got, id)
		}
		return ended
	}
	trust(m.Authority().CertPEM(), next.CertPEM())
	older, newer := hold(m.Authority(), "meter-1"), hold(next, "meter-2")
	crl, err := next.Revoke(nil, 0) // that of the old authority goes with it
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.CRLFile(), crl, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	trust(next.CertPEM())
	if err := <-older; err == nil {
		t.Error("the old authority's device was answered")
	}
	if took := time.Since(began); took > 10*time.Second { // 2 s promised, on a machine that is not busy with other tests
		t.Errorf("closed after %v", took)
	}
	t.Logf("closed after %v", time.Since(began))
	select {
	case err := <-newer:
		t.Errorf("the new authority's device was cut off: %v", err)
	default:
	}
}

func TestReloadRefusesPeersThatAreNewOnTheList(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1}, nil)
	a := m.Regions[0].Agents[0]
	path := filepath.Join(a.Dir, "agent.hcl")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a.Reload()
	}
	rewrite(strings.Replace(string(before), "mesh {", "mesh {\n deny = [\"eu-2\"]", 2)) // listeners.mesh has none
	if a.Missing(1) != "" {
		t.Error("a configuration with a fault has changed something")
	}
	_, tls, _ := strings.Cut(string(before), "tls {")
	denying := strings.Replace(string(before), tls, strings.Replace(tls, "mesh {", "mesh {\n deny = [\"eu-2\"]", 1), 1)
	rewrite(denying)
	eventually(t, "the connections to the region are closed", func() bool { return a.Missing(1) != "" })
	rewrite(string(before))
	eventually(t, "the region is let in again", func() bool { return a.Missing(1) == "" })
}

// statusAs returns 0 when no answer came.
func statusAs(t *testing.T, m *dev.Mesh, a *dev.Agent, cert tls.Certificate) int {
	t.Helper()
	conf := m.TLS()
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil } // asked for or not
	h3 := &http3.Transport{TLSClientConfig: conf}
	defer h3.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+a.EdgeAddr()+"/svc", nil)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := h3.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer rsp.Body.Close()
	return rsp.StatusCode
}

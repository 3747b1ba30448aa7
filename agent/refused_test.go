package agent_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/tidegate/tidegate/agent/dev"
)

func TestARefusedRequestLeavesItsConnectionInUse(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	device := deviceAt(t, m, "eu-1")
	for name, protocols := range map[string][]string{"HTTP/1.1": {"http/1.1"}, "HTTP/2.0": {"h2"}} {
		t.Run(name, func(t *testing.T) {
			conf := device.h3.TLSClientConfig.Clone()
			conf.NextProtos = protocols
			tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: protocols[0] == "h2"}
			if protocols[0] == "http/1.1" {
				tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
			}
			t.Cleanup(tr.CloseIdleConnections)
			for n, want := range []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusOK} {
				refuseAll(t, m, "eu-1", want != http.StatusOK)
				reused := false
				trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
				req := device.request("POST", "/svc", bytes.NewReader(make([]byte, 10<<10)))
				resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != want || resp.Proto != name || reused != (n > 0) {
					t.Errorf("request %d: status %d over %s, reused %v", n, resp.StatusCode, resp.Proto, reused)
				}
			}
		})
	}
	t.Run("HTTP/3.0", func(t *testing.T) {
		refuseAll(t, m, "eu-1", true)
		for range 200 { // more than the streams that a connection may have open
			if resp, _ := device.send("POST", "/svc", make([]byte, 10<<10)); resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("status %d", resp.StatusCode)
			}
		}
		refuseAll(t, m, "eu-1", false)
		if resp, _ := device.send("POST", "/svc", []byte("x")); resp.StatusCode != http.StatusOK {
			t.Errorf("afterwards: status %d", resp.StatusCode)
		}
	})
}

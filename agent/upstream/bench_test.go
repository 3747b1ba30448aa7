package upstream

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The two benchmarks send the same 200-byte POST to the same server.

func benchServer(b *testing.B) (url, addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write([]byte("ok"))
	}))
	b.Cleanup(s.Close)
	return s.URL, s.Listener.Addr().String()
}

func BenchmarkClient(b *testing.B) {
	_, addr := benchServer(b)
	c := New(Config{})
	defer c.Close()
	body := bytes.Repeat([]byte("x"), 200)
	header := http.Header{"Content-Type": {"application/json"}, "X-Device": {"d-1"}}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := c.Do(b.Context(), addr, &Request{
				Method: "POST", RequestURI: "/v1/devices/1/telemetry", Host: "telemetry", Header: header, Bytes: body,
			})
			if err != nil {
				b.Error(err)
				return
			}
			resp.CopyTo(io.Discard, nil)
			resp.Body.Close()
		}
	})
}

func BenchmarkNetHTTPTransport(b *testing.B) {
	url, _ := benchServer(b)
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	defer tr.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 200)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, _ := http.NewRequestWithContext(b.Context(), "POST", url+"/v1/devices/1/telemetry", bytes.NewReader(body))
			req.Header = http.Header{"Content-Type": {"application/json"}, "X-Device": {"d-1"}}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}

package catalog_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tidegate/tidegate/agent/catalog"
)

// refusing lists two datacenters and refuses the first writes of a key in each,
// with the statuses given.
type refusing struct {
	mu       sync.Mutex
	statuses map[string][]int
	written  map[string]string
	puts     map[string]int
}

func (f *refusing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/datacenters") {
		io.WriteString(w, `["eu-1","us-1"]`)
		return
	}
	dc := r.URL.Query().Get("dc")
	f.puts[dc]++
	if left := f.statuses[dc]; len(left) > 0 {
		f.statuses[dc] = left[1:]
		w.WriteHeader(left[0])
		io.WriteString(w, "rpc error making call: stream closed")
		return
	}
	body, _ := io.ReadAll(r.Body)
	f.written[dc] = string(body)
	io.WriteString(w, "true")
}

func TestWriteOutlivesADeadConnectionBetweenServers(t *testing.T) {
	fake := &refusing{
		statuses: map[string][]int{"eu-1": {500, 500}, "us-1": {403}},
		written:  map[string]string{}, puts: map[string]int{},
	}
	server := httptest.NewServer(fake)
	defer server.Close()
	c, err := catalog.NewConsul(catalog.ConsulConfig{Address: server.URL}, catalog.Options{Region: "eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.PutAll(t.Context(), "tidegate/policy", []byte("v1"))
	if err != nil || len(results) != 2 || results[0].Err != nil || results[1].Err == nil {
		t.Errorf("results %v, error %v: want eu-1 written, us-1 forbidden", results, err)
	}
	if fake.written["eu-1"] != "v1" || fake.puts["eu-1"] != 3 || fake.puts["us-1"] != 1 {
		t.Errorf("wrote %v in %v tries: a passing failure is tried again, a refusal is not", fake.written, fake.puts)
	}
}

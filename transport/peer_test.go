package transport

import (
	"errors"
	"strings"
	"testing"
)

func TestSPIFFENamesAreStrict(t *testing.T) {
	good := Peer{"mesh.test", "eu-1", "a_1.x"}
	got, err := ParseSPIFFE("spiffe://mesh.test/region/eu-1/agent/a_1.x")
	if err != nil || got != good {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, bad := range []string{
		"", "spiffe://", "mesh.test/region/eu/agent/a", "SPIFFE://mesh.test/region/eu/agent/a",
		"spiffe:///region/eu/agent/a", "spiffe://Mesh.test/region/eu/agent/a", "spiffe://mesh.test:1/region/eu/agent/a",
		"spiffe://u@mesh.test/region/eu/agent/a", "spiffe://mesh.test/region//agent/a", "spiffe://mesh.test/region/../agent/a",
		"spiffe://mesh.test/region/eu/agent/", "spiffe://mesh.test/region/eu/agent/a/", "spiffe://mesh.test/region/eu/agent/a?x",
		"spiffe://mesh.test/region/eu/agent/a#x", "spiffe://mesh.test/region/e%75/agent/a", "spiffe://mesh.test/device/a",
		"spiffe://mesh.test/region/eu/agent/é", "spiffe://mesh.test/region/eu/agent/" + strings.Repeat("a", maxNameLength+1),
	} {
		if p, err := ParseSPIFFE(bad); !errors.Is(err, ErrIdentity) {
			t.Errorf("%q: got %v, %v", bad, p, err)
		}
	}
}

func FuzzParseSPIFFE(f *testing.F) {
	f.Add("spiffe://mesh.test/region/eu/agent/a")
	f.Add("spiffe://mesh.test/device/a")
	f.Add("spiffe://mesh.test/region/../agent/%2e")
	f.Fuzz(func(t *testing.T, id string) {
		if peer, err := ParseSPIFFE(id); err == nil && peer.String() != id {
			t.Fatalf("%q is read as %q", id, peer)
		}
		if domain, device, err := ParseDeviceSPIFFE(id); err == nil && "spiffe://"+domain+"/device/"+device != id {
			t.Fatalf("%q is read as %q, %q", id, domain, device)
		}
	})
}

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPatternsReadTextsInOneWay(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{ // want: id and properties, "" for none
		{"{id}", "meter-7", "meter-7"},
		{"{id}", "", ""},
		{"{id}", "a/b", ""},
		{"{id}", strings.Repeat("x", maxNameLength+1), ""},
		{"{tenant}-{id}", "acme-meter-7", "meter-7 tenant=acme"}, // the first dash ends the tenant
		{"{tenant}-{id}", "acme-", ""},
		{"{tenant}-{id}", "-meter", ""},
		{"{tenant}-{id}", "acme", ""},
		{"{id}.devices.example", "m7.devices.example", "m7"},
		{"{id}.devices.example", "m7.devices.example.evil", ""},
		{"{id}.devices.example", "m7", ""},
		{"spiffe://example/t/{tenant}/d/{id}", "spiffe://example/t/acme/d/m7", "m7 tenant=acme"},
		{"spiffe://example/t/{tenant}/d/{id}", "spiffe://example.evil/t/acme/d/m7", ""},
		{"spiffe://example/t/{tenant}/d/{id}", "spiffe://example/t/acme/x/d/m7", ""},
		{"spiffe://example/t/{tenant}/d/{id}", "spiffe://example/t/acme/d/m7/d/m8", ""},
		{"spiffe://example/d/{id}/{type}", "spiffe://example/d/m7/a%2Fb", ""},
		{"spiffe://example/d/{id}/{type}", "spiffe://example/d/m7/meter?x=y", ""},
		{"spiffe://example/d/{id}/{type}", "spiffe://example/d/m7/meter", "m7 type=meter"},
		{"urn:dev:{type}:{id}", "urn:dev:os:1-2", "1-2 type=os"},
		{"urn:dev:{type}:{id}", "URN:dev:os:1-2", ""},
		{"d-{id}", "meter", ""},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		id, properties, ok := p.match(c.text)
		got := id
		for name, value := range properties {
			got += " " + name + "=" + value
		}
		if !ok {
			got = ""
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s reads %q as %q (%v), want %q", c.pattern, c.text, got, ok, c.want)
		}
	}
}

func TestPatternsThatTellNobodyAreRefused(t *testing.T) {
	for source, want := range map[string]string{
		"":                  "no {id}",
		"spiffe://x/device": "no {id}",
		"{tenant}":          "no {id}",
		"{id":               "a { without a }",
		"id}":               "a } without a {",
		"{id}}":             "a } without a {",
		"{{id}":             "variable {{id}",
		"{}-{id}":           "variable {}",
		"{Tenant}-{id}":     "variable {Tenant}",
		"{id}/{id}":         "{id} twice",
		"{tenant}{id}":      "nothing between {tenant} and {id}",
		"{id}" + strings.Repeat("x", maxPatternLength): "longer than",
	} {
		if _, err := parsePattern(source); !errors.Is(err, ErrPattern) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

// A name that was made by a pattern is read back as what it was made of, as long
// as no value has in it what ends it.
func TestPatternsReadBackWhatTheyWereMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.Permutation([]string{"id", "tenant", "type"}).Draw(t, "names")
		want, source, text := map[string]string{}, "", ""
		for i, name := range names[:1+indexOf(names, "id")] {
			between := rapid.StringMatching(`[/!,]{1,4}`).Draw(t, "between")
			if i == 0 {
				between = rapid.StringMatching(`[/!,a-z]{0,4}`).Draw(t, "first")
			}
			want[name] = rapid.StringMatching(`[a-z0-9.:-]{1,12}`).Filter(validDeviceID).Draw(t, name)
			source, text = source+between+"{"+name+"}", text+between+want[name]
		}
		p, err := parsePattern(source)
		if err != nil {
			t.Fatal(err)
		}
		id, properties, ok := p.match(text)
		got := map[string]string{"id": id}
		maps.Copy(got, properties)
		if !ok || !maps.Equal(got, want) {
			t.Fatalf("%s reads %q as %v, %v; want %v", source, text, got, ok, want)
		}
	})
}

func indexOf(names []string, name string) int {
	for i := range names {
		if names[i] == name {
			return i
		}
	}
	return -1
}

// FuzzIdentityPattern holds that what a pattern reads is fit to be a device, and
// put into the pattern again gives the text.
func FuzzIdentityPattern(f *testing.F) {
	f.Add("spiffe://example/tenant/{tenant}/device/{id}", "spiffe://example/tenant/acme/device/m7")
	f.Add("{tenant}-{id}", "acme-corp-m7")
	f.Add("{id}.x", "a.x.x")
	f.Fuzz(func(t *testing.T, source, text string) {
		p, err := parsePattern(source)
		if err != nil {
			if !errors.Is(err, ErrPattern) {
				t.Fatal(err)
			}
			return
		}
		id, properties, ok := p.match(text)
		if !ok {
			return
		}
		if _, err := NewDevice(id, properties); err != nil {
			t.Fatalf("%q reads %q: %v", source, text, err)
		}
		made := ""
		for _, v := range p.variables {
			value := properties[v.name]
			if v.name == variableID {
				value = id
			}
			made += v.before + value
		}
		if made+p.rest != text {
			t.Fatalf("%q reads %q as %s %v, which makes %q", source, text, id, properties, made+p.rest)
		}
	})
}

// certificateOf is a client certificate of the authority, made by somebody else's
// rules.
func certificateOf(t *testing.T, a *Authority, subject pkix.Name, uris ...string) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, raw := range uris {
		uri, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	return issued(t)(a.signECDSA(template, time.Hour))
}

func TestPatternsNameTheDeviceOfACertificate(t *testing.T) {
	a := newTestAuthority(t)
	names, err := ParseDeviceNames([]string{"spiffe://fleet.example/tenant/{tenant}/device/{id}", "urn:dev:{type}:{id}"}, []string{"{tenant}-{id}"})
	if err != nil {
		t.Fatal(err)
	}
	cn := func(s string) pkix.Name { return pkix.Name{CommonName: s} }
	const spiffe = "spiffe://fleet.example/tenant/acme/device/m7"
	for name, c := range map[string]struct {
		cert       *tls.Certificate
		id         string // "": refused
		properties map[string]string
	}{
		"by URI":                        {certificateOf(t, a, cn(""), spiffe), "m7", map[string]string{"tenant": "acme"}},
		"by the second pattern":         {certificateOf(t, a, cn(""), "urn:dev:os:m8"), "m8", map[string]string{"type": "os"}},
		"the first pattern counts":      {certificateOf(t, a, cn("x-y"), "urn:dev:os:m8", spiffe), "m7", map[string]string{"tenant": "acme"}},
		"by common name":                {certificateOf(t, a, cn("acme-m7"), "https://example/"), "m7", map[string]string{"tenant": "acme"}},
		"a variable counts before O":    {certificateOf(t, a, pkix.Name{CommonName: "acme-m7", Organization: []string{"other"}, OrganizationalUnit: []string{"meter"}}), "m7", map[string]string{"tenant": "acme", "type": "meter"}},
		"and before other properties":   {certificateOf(t, a, cn(""), spiffe, "tidegate:device?tenant=other&fw=1"), "m7", map[string]string{"tenant": "acme", "fw": "1"}},
		"two URIs fit":                  {certificateOf(t, a, cn("acme-m7"), spiffe, "spiffe://fleet.example/tenant/acme/device/m8"), "", nil},
		"nothing fits":                  {certificateOf(t, a, cn("m7"), "spiffe://mesh.test/device/m7"), "", nil},
		"an agent":                      {certificateOf(t, a, cn("acme-m7"), "spiffe://mesh.test/region/eu/agent/a"), "", nil},
		"an agent beside a device":      {certificateOf(t, a, cn("acme-m7"), spiffe, "spiffe://mesh.test/region/eu/agent/a"), "", nil},
		"of another authority":          {certificateOf(t, newTestAuthority(t), cn("acme-m7"), spiffe), "", nil},
		"a property that cannot be one": {certificateOf(t, a, cn("acme-m7"), "tidegate:device?Bad=1"), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := VerifyDevice(chainOf(c.cert), a.Pool(), testDomain, names, time.Time{})
			if c.id == "" && !errors.Is(err, ErrIdentity) || c.id != "" && err != nil {
				t.Fatalf("%+v, %v", d, err)
			}
			if d.ID != c.id || !maps.Equal(d.Properties, c.properties) {
				t.Errorf("%+v, want %s %v", d, c.id, c.properties)
			}
		})
	}
}

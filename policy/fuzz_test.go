package policy_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

func addSources(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.hcl", "testdata/*.hcl", "testdata/bad/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src, strings.HasSuffix(file, ".json"))
		}
	}
	f.Add([]byte(wholeLanguage), false)
	for _, opening := range []string{"[", "{", "(", "\"${", "x ? ", "!", "-", "<<A\n", "a {\n", "for", "\"%{if a}"} {
		f.Add([]byte("x = "+strings.Repeat(opening, 5000)), false)
	}
	f.Add([]byte(strings.Repeat("[", 100_000)), true)
}

func sourceName(json bool) string {
	if json {
		return "policy.json"
	}
	return "policy.hcl"
}

// FuzzParse holds that no source makes Parse panic, that an error is of its
// kind and has a place, and that what is accepted decides, on access too,
// without panic, the same way a second time.
func FuzzParse(f *testing.F) {
	addSources(f)
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		p, err := policy.Parse(policy.File{Name: sourceName(json), Src: src})
		if err != nil {
			var found policy.Diagnostics
			if p != nil || !errors.Is(err, policy.ErrInvalid) || !errors.As(err, &found) || len(found) == 0 {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		for _, r := range p.Routes() {
			m := &policy.Message{Method: "POST", Host: strings.ReplaceAll(r.Match.Host, "*", "x"), Path: "/a/b"}
			a, b := p.Decide(m, 1, nil), p.Decide(m, 1, &policy.Trace{})
			same(t, "decision", a, b)
		}
		for _, path := range []string{"/", "/a/b", "/v1/devices/x-meter-1/y", "*"} {
			m := &policy.Message{Method: "POST", Path: path, Device: device("meter-1", "tenant=acme", "site=x", "fw=3")}
			same(t, "access", p.Access(m, nil), p.Access(m, &policy.Trace{}))
		}
	})
}

// FuzzFormat holds that formatting never panics, changes nothing when repeated,
// and changes no policy.
func FuzzFormat(f *testing.F) {
	addSources(f)
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		name := sourceName(json)
		once, err := policy.Format(name, src)
		if err != nil {
			if !errors.Is(err, policy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		twice, err := policy.Format(name, once)
		if err != nil {
			t.Fatalf("formatted source is refused: %v\n%q", err, once)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("formatting is not stable:\n%q\n%q", once, twice)
		}
		before, err := policy.Parse(policy.File{Name: name, Src: src})
		if err != nil {
			return
		}
		after, err := policy.Parse(policy.File{Name: name, Src: once})
		if err != nil {
			t.Fatalf("formatted policy is refused: %v\n%q", err, once)
		}
		same(t, "services", after.Services(), before.Services())
		same(t, "number of routes", len(after.Routes()), len(before.Routes()))
	})
}

const fuzzedPolicy = `
service "a" {}
route "rest" {
  match {
    path = "/files/{rest...}"
  }
  forward {
    service = "a"
  }
  rewrite {
    path        = "/store/{rest}"
    set_headers = { "X-Rest" = "<{rest}>" }
  }
}
route "host" {
  match {
    path = "/{kind}/{id}/x"
    when = "request.headers['x-a'] == captures.id || captures.id.startsWith(request.path)"
  }
  forward {
    service = "a"
  }
  rewrite {
    path        = "/v2/{kind}.{id}/x/{kind}"
    host        = "{id}-x.internal"
    set_headers = { "X-Id" = "{id}" }
  }
}
route "two" {
  match {
    host    = "*.example.com"
    path    = "/{kind}/{id}"
    headers = { "X-A" = "*" }
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/{id}/-{kind}-"
  }
}
`

// FuzzDecide holds that no path, host or header makes Decide panic, that a
// rewritten path is one clean path with the segments its template shows, and
// that what captures put into headers and hosts stays inside them.
func FuzzDecide(f *testing.F) {
	for _, path := range []string{"/files/a/b", "/files/", "/a/b%2Fc/x", "/a/%2e%2e/x", "/a/..;/x", "/k/i", "/%00/x", "//", "/a/%", "/k/.%3b"} {
		f.Add(path, "api.example.com", "X-A", "b", "POST")
	}
	p := compiled(f, fuzzedPolicy)
	f.Fuzz(func(t *testing.T, path, host, name, value, method string) {
		m := &policy.Message{Method: method, Host: host, Path: path, Header: map[string][]string{name: {value}}}
		d, trace := p.Decide(m, 7, nil), &policy.Trace{}
		same(t, "explained", p.Decide(m, 7, trace), d)
		p.PayloadLimit(m)
		if d.Route == nil {
			same(t, "path", d.Path, path)
			return
		}
		checkCleanPath(t, d.Route.Name, d.Path, path)
		checkContained(t, d)
	})
}

func checkCleanPath(t *testing.T, route, got, sent string) {
	u, err := url.ParseRequestURI(got)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.Host != "" || u.EscapedPath() != got {
		t.Fatalf("%q is not a plain path: %+v, %v", got, u, err)
	}
	segments := strings.Split(got[1:], "/")
	want := map[string]int{"rest": strings.Count(sent, "/"), "host": 4, "two": 2}[route]
	same(t, "segments of "+got, len(segments), want)
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		name, _, _ := strings.Cut(plain, ";")
		if err != nil || name == "." || name == ".." || s == "" && i < len(segments)-1 {
			t.Fatalf("segment %q of %q, sent %q", s, got, sent)
		}
	}
}

func checkContained(t *testing.T, d policy.Decision) {
	h := map[string][]string{}
	d.ApplyRequest(h)
	for name, values := range h {
		if len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			t.Fatalf("header %s: %q", name, values)
		}
	}
	if d.Route.Name == "host" {
		label, ok := strings.CutSuffix(d.Host, "-x.internal")
		if !ok || label == "" || strings.ContainsAny(label, "./:@%?# ") {
			t.Fatalf("host %q", d.Host)
		}
	}
}

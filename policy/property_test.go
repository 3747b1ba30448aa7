package policy_test

import (
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/policy"
	"pgregory.net/rapid"
)

// drawnRoute is a random route, with a matcher and a specificity of its own
// that share nothing with the package.
type drawnRoute struct {
	name              string
	host, path        string
	method            string
	headers           []string
	when              bool
	hostRE, pathRE    *regexp.Regexp
	hostRank, pathKey string
}

// drawRoute gives every route a header of its own, so that none is unreachable.
func drawRoute(t *rapid.T, i int) *drawnRoute {
	r := &drawnRoute{name: fmt.Sprintf("r%d", i), headers: []string{fmt.Sprintf("X-R%d", i)}}
	r.host = rapid.SampledFrom([]string{"", "*.example.com", "api.example.com"}).Draw(t, "host")
	if rapid.Bool().Draw(t, "more headers") {
		r.headers = append(r.headers, "X-Common")
	}
	r.method = rapid.SampledFrom([]string{"", "GET", "POST"}).Draw(t, "method")
	r.when = rapid.Bool().Draw(t, "when")
	r.drawPath(t)
	r.hostRE = regexp.MustCompile("^" + map[string]string{
		"": ".*", "*.example.com": `[^.]+\.example\.com`, "api.example.com": `api\.example\.com`,
	}[r.host] + "$")
	r.hostRank = map[string]string{"api.example.com": "0", "*.example.com": "1", "": "2"}[r.host]
	return r
}

func (r *drawnRoute) drawPath(t *rapid.T) {
	expr := ""
	for i := range rapid.IntRange(1, 4).Draw(t, "segments") {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0, 1:
			r.path, expr, r.pathKey = r.path+fmt.Sprintf("/{c%d}", i), expr+"/[^/]+", r.pathKey+"b"
		case 2:
			r.path, expr, r.pathKey = r.path+"/{rest...}", expr+"/.*", r.pathKey+"c"
			r.pathRE = regexp.MustCompile("^" + expr + "$")
			return
		default:
			literal := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "literal")
			r.path, expr, r.pathKey = r.path+"/"+literal, expr+"/"+literal, r.pathKey+"a"
		}
	}
	r.pathRE = regexp.MustCompile("^" + expr + "$")
}

func (r *drawnRoute) source() string {
	var b strings.Builder
	fmt.Fprintf(&b, "route %q {\n  match {\n    path = %q\n", r.name, r.path)
	if r.host != "" {
		fmt.Fprintf(&b, "    host = %q\n", r.host)
	}
	if r.method != "" {
		fmt.Fprintf(&b, "    methods = [%q]\n", r.method)
	}
	b.WriteString("    headers = {\n")
	for _, h := range r.headers {
		fmt.Fprintf(&b, "      %q = \"*\"\n", h)
	}
	b.WriteString("    }\n")
	if r.when {
		b.WriteString("    when = \"device.ok == 'yes'\"\n")
	}
	b.WriteString("  }\n  forward {\n    service = \"a\"\n  }\n}\n")
	return b.String()
}

func (r *drawnRoute) matches(m *policy.Message) bool {
	if !r.hostRE.MatchString(m.Host) || !r.pathRE.MatchString(m.Path) || r.method != "" && r.method != m.Method {
		return false
	}
	for _, h := range r.headers {
		if m.Header[h] == nil {
			return false
		}
	}
	return !r.when || m.Device.Properties["ok"] == "yes"
}

// key sorts more specific routes first; equal keys are ties.
func (r *drawnRoute) key() string {
	return fmt.Sprintf("%s %s~ %t %d %t", r.hostRank, r.pathKey, r.method == "", 9-len(r.headers), !r.when)
}

func drawRoutes(t *rapid.T) []*drawnRoute {
	routes := make([]*drawnRoute, rapid.IntRange(1, 12).Draw(t, "routes"))
	for i := range routes {
		routes[i] = drawRoute(t, i)
	}
	return routes
}

func sourceOf(routes []*drawnRoute) string {
	src := "service \"a\" {}\n"
	for _, r := range routes {
		src += r.source()
	}
	return src
}

func drawMessage(t *rapid.T, routes []*drawnRoute) *policy.Message {
	m := &policy.Message{
		Method: rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method"),
		Host:   rapid.SampledFrom([]string{"api.example.com", "x.example.com", "example.com", "h"}).Draw(t, "host"),
		Header: map[string][]string{},
	}
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "z"}), 1, 5).Draw(t, "segments")
	m.Path = "/" + strings.Join(segments, "/") + rapid.SampledFrom([]string{"", "", "/"}).Draw(t, "slash")
	for _, r := range routes {
		if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
			m.Header[r.headers[0]] = []string{"1"}
		}
	}
	if rapid.Bool().Draw(t, "common") {
		m.Header["X-Common"] = []string{"1"}
	}
	if rapid.Bool().Draw(t, "ok") {
		m.Device.Properties = map[string]string{"ok": "yes"}
	}
	return m
}

func TestTheMostSpecificMatchingRouteIsTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t)
		p := parseDrawn(t, routes)
		for range 8 {
			m := drawMessage(t, routes)
			want := ""
			if best := bestOf(routes, m); best != nil {
				want = best.name
			}
			if got := routeName(p.Decide(m, 0, nil)); got != want {
				t.Fatalf("%+v: got %q, want %q of\n%s", m, got, want, sourceOf(routes))
			}
		}
	})
}

func bestOf(routes []*drawnRoute, m *policy.Message) *drawnRoute {
	var best *drawnRoute
	for _, r := range routes {
		if r.matches(m) && (best == nil || r.key() < best.key()) {
			best = r
		}
	}
	return best
}

func parseDrawn(t *rapid.T, routes []*drawnRoute) *policy.Policy {
	p, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(sourceOf(routes))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOrderDependsOnTheFileOnlyWhereRoutesTie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t)
		byName := map[string]*drawnRoute{}
		for _, r := range routes {
			byName[r.name] = r
		}
		shuffled := rapid.Permutation(routes).Draw(t, "order")
		a, b := parseDrawn(t, routes).Routes(), parseDrawn(t, shuffled).Routes()
		for i := range a {
			if byName[a[i].Name].key() != byName[b[i].Name].key() {
				t.Fatalf("place %d: %s in one order, %s in another of\n%s", i, a[i].Name, b[i].Name, sourceOf(routes))
			}
		}
		checkTiesFollowFile(t, byName, shuffled, b)
	})
}

func checkTiesFollowFile(t *rapid.T, byName map[string]*drawnRoute, file []*drawnRoute, order []*policy.Route) {
	for i := 1; i < len(order); i++ {
		before, after := byName[order[i-1].Name], byName[order[i].Name]
		if before.key() == after.key() && slices.Index(file, before) > slices.Index(file, after) {
			t.Fatalf("%s before %s, not as in the file", before.name, after.name)
		}
	}
}

func drawWeights(t *rapid.T) []int {
	left, weights := 100, []int{}
	for left > 0 && len(weights) < 5 {
		w := rapid.IntRange(0, left).Draw(t, "weight")
		weights, left = append(weights, w), left-w
	}
	return append(weights, left)
}

func splitPolicy(weights []int, sticky bool) string {
	services, forwards := "", ""
	for i, w := range weights {
		services += fmt.Sprintf("service \"s%d\" {}\n", i)
		forwards += fmt.Sprintf("  forward {\n    service = \"s%d\"\n    weight  = %d\n  }\n", i, w)
	}
	if sticky {
		forwards += "  sticky = \"device\"\n"
	}
	return services + "route \"r\" {\n" + forwards + "}\n"
}

func TestSplitHonoursTheWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		p, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(splitPolicy(weights, false))})
		if err != nil {
			t.Fatal(err)
		}
		const draws = 10_000
		count := map[string]int{}
		m := &policy.Message{Path: "/"}
		for i := range uint64(draws) {
			rng, _ := bits.Div64(i, 0, draws)
			count[p.Decide(m, rng, nil).Target.Service]++
		}
		for i, w := range weights {
			if share := 100 * float64(count[fmt.Sprintf("s%d", i)]) / draws; math.Abs(share-float64(w)) > 0.05 {
				t.Fatalf("weight %d got %.2f%% of %v", w, share, weights)
			}
		}
	})
}

func TestStickySplitHonoursTheWeightsOverDevices(t *testing.T) {
	const devices = 20_000
	p := compiled(t, splitPolicy([]int{10, 30, 60}, true))
	for _, format := range []string{"%d", "sensor-%06d", "spiffe://fleet/device/%x"} {
		count := map[string]int{}
		for i := range devices {
			m := &policy.Message{Path: "/", Device: policy.Device{ID: fmt.Sprintf(format, i)}}
			count[p.Decide(m, 0, nil).Target.Service]++
		}
		for service, want := range map[string]float64{"s0": 10, "s1": 30, "s2": 60} {
			if share := 100 * float64(count[service]) / devices; math.Abs(share-want) > 1.5 {
				t.Errorf("%s, %s: %.2f%%, want %.0f%%", format, service, share, want)
			}
		}
	}
}

func TestStickyDevicesStayWhateverTheAgentOrTheRandomValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := []byte(splitPolicy(drawWeights(t), true))
		one, err := policy.Parse(policy.File{Name: "one.hcl", Src: src})
		if err != nil {
			t.Fatal(err)
		}
		other, _ := policy.Parse(policy.File{Name: "other.hcl", Src: src})
		m := &policy.Message{Path: "/", Device: policy.Device{ID: rapid.StringN(1, -1, -1).Draw(t, "device")}}
		a := one.Decide(m, rapid.Uint64().Draw(t, "rng"), nil).Target
		if b := other.Decide(m, rapid.Uint64().Draw(t, "other rng"), nil).Target; a != b {
			t.Fatalf("%v here, %v there", a, b)
		}
	})
}

// The buckets were computed by another implementation of the hash (FNV-1a 64,
// then MurmurHash3's 64-bit finalizer, then the high word of ×100). They must
// never change: a fleet in the middle of an upgrade would disagree.
func TestStickyBucketsAreTheSameInEveryVersion(t *testing.T) {
	p := compiled(t, splitPolicy([]int{10, 30, 60}, true))
	for device, bucket := range map[string]int{
		"device-1": 88, "device-2": 0, "a": 51, "spiffe://x/device/0042": 8, "ü": 60,
	} {
		trace := &policy.Trace{}
		p.Decide(&policy.Message{Path: "/", Device: policy.Device{ID: device}}, 0, trace)
		if want := fmt.Sprintf("drew %d of 100", bucket); !strings.Contains(reasonFor(trace, "s0"), want) {
			t.Errorf("%s: %q, want %q", device, reasonFor(trace, "s0"), want)
		}
	}
}

func TestRaisingTheFirstWeightKeepsItsDevices(t *testing.T) {
	before, after := compiled(t, splitPolicy([]int{10, 90}, true)), compiled(t, splitPolicy([]int{25, 75}, true))
	for i := range 5000 {
		m := &policy.Message{Path: "/", Device: policy.Device{ID: fmt.Sprintf("d%d", i)}}
		if before.Decide(m, 0, nil).Target.Service == "s0" && after.Decide(m, 0, nil).Target.Service != "s0" {
			t.Fatalf("device %s left", m.Device.ID)
		}
	}
}

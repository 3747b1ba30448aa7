package policy

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

var (
	rewriteShape = blockShape{keys: []string{
		"path", "host", "set_headers", "remove_headers", "set_response_headers", "remove_response_headers",
	}}
	respondShape = blockShape{keys: []string{"status", "headers", "body"}}
)

func (c *routeCompiler) compileForwards(r *Route, blocks hcl.Blocks) {
	sum, before := 0, c.found.count
	for _, hb := range blocks {
		b := openBlock(hb.Body, hb.DefRange, forwardShape, c.found)
		target, service, ok := c.compileTarget(b)
		weight := compileWeight(b, len(blocks) == 1)
		sum += weight
		if !ok {
			continue
		}
		if slices.ContainsFunc(r.Forward, func(f Forward) bool { return f.Target == target }) {
			c.found.add(hb.DefRange, "add its weight to the other's", "forward: %s is there twice", target)
		}
		r.Forward = append(r.Forward, Forward{target, weight})
		r.services = append(r.services, service)
	}
	if sum != 100 && c.found.count == before {
		c.found.add(blocks[0].DefRange, "make them sum to 100", "the weights of route %q sum to %d, not 100", r.Name, sum)
	}
}

func compileWeight(b *block, alone bool) int {
	if !b.has("weight") && !alone {
		b.found.add(b.at, "give each forward a weight; they must sum to 100", "forward: no weight, although there are several")
	}
	return b.number("weight", 0, 100, 100)
}

func (c *routeCompiler) compileTarget(b *block) (Target, *Service, bool) {
	if !b.has("service") {
		b.found.add(b.at, `add service = "NAME"`, "forward: no service")
		return Target{}, nil, false
	}
	name, subset := b.text("service"), b.text("subset")
	s := c.services[name]
	if s == nil {
		if name != "" {
			b.fail("service", "define it with service \""+name+"\" {}; "+definedNames(c.services), "unknown service %q", name)
		}
		return Target{}, nil, false
	}
	if subset != "" && s.Subsets[subset] == nil {
		b.fail("subset", definedNames(s.Subsets), "service %q has no subset %q", name, subset)
		return Target{}, nil, false
	}
	return Target{name, subset}, s, true
}

func compileRewrite(hb *hcl.Block, pattern pathPattern, found *findings) rewrite {
	b := openBlock(hb.Body, hb.DefRange, rewriteShape, found)
	var w rewrite
	var err error
	if path := b.text("path"); path != "" {
		if w.path, err = parsePathRewrite(path, pattern); err != nil {
			b.fail("path", rewriteFix(pattern), "%v", err)
		}
	}
	if host := b.text("host"); host != "" {
		if w.host, err = parseHostRewrite(host, pattern); err != nil {
			b.fail("host", rewriteFix(pattern), "%v", err)
		}
	}
	w.request = compileEdits(b, "set_headers", "remove_headers", pattern)
	w.response = compileEdits(b, "set_response_headers", "remove_response_headers", pattern)
	return w
}

func rewriteFix(pattern pathPattern) string {
	names := pattern.captures()
	if len(names) == 0 {
		return "the route's path has no captures"
	}
	list := ""
	for _, name := range names {
		list += " {" + name + "}"
	}
	return "the route's path captures" + list
}

func compileEdits(b *block, set, remove string, pattern pathPattern) headerEdits {
	var edits headerEdits
	for _, i := range b.list(remove) {
		name, fix, err := editableHeader(i.value)
		if err != nil {
			b.found.add(i.at, fix, "%s: %v", remove, err)
			continue
		}
		edits.remove = append(edits.remove, name)
	}
	for _, i := range b.pairs(set) {
		edits.set = appendHeaderSet(edits.set, b, set, i, pattern)
	}
	return edits
}

func appendHeaderSet(sets []headerSet, b *block, key string, i item, pattern pathPattern) []headerSet {
	name, fix, err := settableHeader(i.key, i.value)
	if err != nil {
		b.found.add(i.at, fix, "%s: %v", key, err)
		return sets
	}
	if slices.ContainsFunc(sets, func(h headerSet) bool { return h.name == name }) {
		b.found.add(i.at, "remove one", "%s: %s is there twice", key, name)
		return sets
	}
	value, err := parseTemplate(i.value, pattern)
	if err != nil {
		b.found.add(i.at, rewriteFix(pattern), "%s: %v", key, err)
		return sets
	}
	return append(sets, headerSet{name, value})
}

func compileRespond(hb *hcl.Block, found *findings) *Respond {
	b := openBlock(hb.Body, hb.DefRange, respondShape, found)
	r := &Respond{Status: b.number("status", 200, 599, 200), Headers: map[string]string{}}
	if b.has("body") {
		r.Body, _ = b.stringOf("body", b.attrs["body"].Expr)
	}
	if len(r.Body) > MaxRespondBody {
		b.fail("body", "serve it from a service", "longer than %d bytes", MaxRespondBody)
	}
	if r.Body != "" && (r.Status == 204 || r.Status == 205 || r.Status == 304) {
		b.fail("body", "leave it out", "an answer of status %d has none", r.Status)
	}
	for _, i := range b.pairs("headers") {
		r.setHeader(b, i)
	}
	return r
}

func (r *Respond) setHeader(b *block, i item) {
	name, fix, err := settableHeader(i.key, i.value)
	if err != nil {
		b.found.add(i.at, fix, "headers: %v", err)
		return
	}
	if _, twice := r.Headers[name]; twice {
		b.found.add(i.at, "remove one", "headers: %s is there twice", name)
		return
	}
	r.Headers[name] = i.value
}

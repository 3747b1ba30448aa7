package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"github.com/hashicorp/hcl/v2"
)

var (
	routeShape = blockShape{
		keys: []string{"class", "timeout", "regions", "sticky", "ordered", "anonymous"},
		blocks: map[string][]string{
			"match": nil, "forward": nil, "rewrite": nil, "retry": nil, "respond": nil, "batch": nil, "fault": nil,
		},
	}
	matchShape   = blockShape{keys: []string{"methods", "host", "path", "headers", "when", "payload_limit"}}
	forwardShape = blockShape{keys: []string{"service", "subset", "weight"}}
	retryShape   = blockShape{keys: []string{"attempts", "idempotent"}}
)

// routeCompiler turns route blocks into routes; what is wrong goes to found.
type routeCompiler struct {
	*conditions
	services map[string]*Service
	places   map[string]hcl.Range // of routes, by name
}

// conditions compiles the `when` of blocks.
type conditions struct {
	found *findings
	env   *cel.Env // made for the first
}

// compile returns nil where the block is too wrong to go on with.
func (c *routeCompiler) compile(hb *hcl.Block) *Route {
	name := hb.Labels[0]
	if !c.found.checkName("route", name, hb.LabelRanges[0]) {
		return nil
	}
	if first, ok := c.places[name]; ok {
		c.found.add(hb.LabelRanges[0], "give it another name", "route %q is there twice, first at %s", name, placeOf(first))
		return nil
	}
	c.places[name] = hb.DefRange
	before := c.found.count
	b := openBlock(hb.Body, hb.DefRange, routeShape, c.found)
	r := &Route{Name: name, Place: placeOf(hb.DefRange), Class: compileClass(b), Regions: regionNames(b, "regions")}
	r.Anonymous, _ = b.flag("anonymous")
	c.compileMatch(r, b)
	c.compileAction(r, b)
	if c.found.count > before {
		return nil
	}
	return r
}

func compileClass(b *block) Class {
	name := b.text("class")
	if name == "" {
		return Normal
	}
	for _, class := range Classes() {
		if name == class.String() {
			return class
		}
	}
	b.fail("class", "use bulk, normal, high or critical", "unknown class %q", name)
	return Normal
}

func (c *routeCompiler) compileMatch(r *Route, outer *block) {
	r.pattern = pathPattern{{kind: restSegment}}
	hb := outer.one("match")
	if hb == nil {
		return
	}
	b := openBlock(hb.Body, hb.DefRange, matchShape, c.found)
	r.Match.Methods = compileMethods(b)
	r.Match.Headers = compileHeaderMatches(b)
	if host := b.text("host"); host != "" {
		var err error
		if r.Match.Host, err = parseHostPattern(host); err != nil {
			b.fail("host", `write a name without port, such as "api.example.com" or "*.example.com"`, "%v", err)
		}
	}
	r.Match.Path = b.text("path")
	pattern, err := parsePattern(r.Match.Path)
	if err != nil {
		b.fail("path", `write "/a/{id}/b" or "/a/{rest...}"`, "%v", err)
		return
	}
	r.pattern = pattern
	r.Match.PayloadLimit = b.size("payload_limit", MaxPayloadLimit)
	if r.Match.When = b.text("when"); r.Match.When != "" {
		r.when = c.compileWhen(b, r.pattern, r.Match.PayloadLimit)
	} else if b.has("payload_limit") && !b.has("when") {
		b.fail("payload_limit", "remove it, or add a when that looks at payload", "has no effect without a when")
	}
}

func compileMethods(b *block) []string {
	var methods []string
	for _, i := range b.list("methods") {
		method := strings.ToUpper(i.value)
		if !isToken(method) || slices.Contains(methods, method) {
			b.found.add(i.at, `write methods such as "GET"`, "methods: %q is no method or there twice", i.value)
			continue
		}
		methods = append(methods, method)
	}
	return methods
}

func compileHeaderMatches(b *block) []HeaderMatch {
	var matches []HeaderMatch
	for _, i := range b.pairs("headers") {
		name, err := parseHeaderName(i.key)
		switch {
		case err != nil:
			b.found.add(i.at, headerFix, "headers: %v", err)
		case name == "Host":
			b.found.add(i.at, "use host = \"...\" in the match block", "headers: the host is not matched as a header")
		case slices.ContainsFunc(matches, func(h HeaderMatch) bool { return h.Name == name }):
			b.found.add(i.at, "remove one", "headers: %s is there twice", name)
		case checkHeaderValue(i.value) != nil:
			b.found.add(i.at, headerFix, "headers: %v", checkHeaderValue(i.value))
		case i.value == "*":
			matches = append(matches, HeaderMatch{Name: name, Any: true})
		default:
			matches = append(matches, HeaderMatch{Name: name, Value: i.value})
		}
	}
	return matches
}

// compileWhen returns nil where the expression has faults. payload is how many
// bytes of the body it may read, 0 where it may not.
func (c *conditions) compileWhen(b *block, pattern pathPattern, payload int) *condition {
	if c.env == nil {
		env, err := newConditionEnv()
		if err != nil {
			b.fail("when", "", "CEL cannot be set up: %v", err)
			return nil
		}
		c.env = env
	}
	when, problems := compileCondition(c.env, b.text("when"), pattern, b.has("payload_limit"), payload)
	for _, p := range problems {
		c.found.add(conditionPlace(b, p), p.fix, "when: %s", p.problem)
	}
	return when
}

// conditionPlace turns a place in an expression into one in the file: exact for
// a quoted string without escapes, the right line in a heredoc.
func conditionPlace(b *block, p conditionProblem) hcl.Range {
	at := b.attrs["when"].Expr.Range()
	if p.line < 1 || isJSON(at.Filename) {
		return at
	}
	if at.Start.Line == at.End.Line {
		at.Start.Column += p.column
		return at
	}
	at.Start.Line += p.line
	at.Start.Column = p.column
	return at
}

// compileAction reads what happens to a message that matched: exactly one of
// forward and respond.
func (c *routeCompiler) compileAction(r *Route, b *block) {
	forwards, respond := blocksOf(b, "forward"), b.one("respond")
	switch {
	case len(forwards) > 0 && respond != nil:
		c.found.add(respond.DefRange, "keep one of the two", "route %q has both forward and respond", r.Name)
	case respond != nil:
		r.Respond = compileRespond(respond, c.found)
		refuseWithRespond(b)
	case len(forwards) > 0:
		c.compileForwards(r, forwards)
		c.compileForwarding(r, b)
	default:
		c.found.add(b.at, "add a forward or a respond block", "route %q has neither forward nor respond", r.Name)
	}
}

// refuseWithRespond reports what only makes sense where a service answers.
func refuseWithRespond(b *block) {
	for _, key := range []string{"timeout", "regions", "sticky", "ordered"} {
		if b.has(key) {
			b.fail(key, "remove it", "has no effect in a route that responds")
		}
	}
	for _, name := range []string{"retry", "rewrite", "batch", "fault"} {
		if hb := b.one(name); hb != nil {
			b.found.add(hb.DefRange, "remove it", "%s: has no effect in a route that responds", name)
		}
	}
}

func (c *routeCompiler) compileForwarding(r *Route, b *block) {
	r.Timeout, r.explicitTimeout = b.duration("timeout")
	if !r.explicitTimeout {
		for _, s := range r.services {
			r.Timeout = max(r.Timeout, s.Timeout)
		}
	}
	if b.has("sticky") {
		if by := b.text("sticky"); by != "device" && by != "" {
			b.fail("sticky", `use "device", or leave it out to split at random`, "unknown value %q", by)
		}
		r.Sticky = true
	}
	if ordered, given := b.flag("ordered"); given {
		r.Unordered = !ordered
	}
	r.Retry = compileRetry(b.one("retry"), c.found)
	if hb := b.one("rewrite"); hb != nil {
		r.rewrite = compileRewrite(hb, r.pattern, c.found)
	}
	c.compileBatch(r, b.one("batch"))
	c.compileFault(r, b.one("fault"))
}

func compileRetry(hb *hcl.Block, found *findings) Retry {
	retry := Retry{Attempts: DefaultAttempts}
	if hb == nil {
		return retry
	}
	b := openBlock(hb.Body, hb.DefRange, retryShape, found)
	retry.Attempts = b.number("attempts", 1, MaxAttempts, DefaultAttempts)
	if yes, given := b.flag("idempotent"); given && yes {
		retry.Idempotent = IdempotentAlways
	} else if given {
		retry.Idempotent = IdempotentNever
	}
	return retry
}

// checkReachable reports routes that can never be taken, because an earlier one
// of the same host and path takes every message they would.
func (c *routeCompiler) checkReachable(routes []*Route) {
	earlier := map[string][]*Route{}
	for _, r := range routes {
		shape := r.shape()
		for _, first := range earlier[shape] {
			if first.covers(r) {
				c.found.add(c.places[r.Name], "narrow the other, or remove this one",
					"route %q is unreachable: %q (%s) takes everything it matches", r.Name, first.Name, first.Place)
				break
			}
		}
		earlier[shape] = append(earlier[shape], r)
	}
}

// definedNames lists names for a fix, at most ten of them.
func definedNames[V any](defined map[string]V) string {
	names := make([]string, 0, len(defined))
	for name := range defined {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none is defined"
	}
	if len(names) > 10 {
		return fmt.Sprintf("defined are %s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return "defined: " + strings.Join(names, ", ")
}

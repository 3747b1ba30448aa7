package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

var (
	accessShape = blockShape{keys: []string{"services", "devices", "properties", "when", "audit"}, blocks: map[string][]string{"allow": nil, "limit": nil}}
	allowShape  = blockShape{keys: []string{"methods", "path", "publish", "subscribe", "command"}}
	rateShape   = blockShape{keys: []string{"by", "rate", "burst"}}
	denyShape   = blockShape{keys: []string{"devices"}}
)

const (
	accessPathFix = `write "/v1/devices/${device.id}/{rest...}"`
	deviceFix     = `write ids of devices such as "meter-17", or patterns such as "meter-*"`
)

// accessCompiler turns access and deny blocks into what a policy keeps of them.
type accessCompiler struct {
	*conditions
	policy *Policy
	places map[string]hcl.Range // of access blocks, by name
}

func (c *accessCompiler) compileAll(access, deny hcl.Blocks) {
	if len(access) > MaxAccess {
		c.found.add(access[MaxAccess].DefRange, "", "more than %d access blocks", MaxAccess)
		return
	}
	for _, hb := range access {
		c.compile(hb)
	}
	for _, hb := range deny {
		c.compileDeny(openBlock(hb.Body, hb.DefRange, denyShape, c.found))
	}
}

func (c *accessCompiler) compile(hb *hcl.Block) {
	name := hb.Labels[0]
	if !c.found.checkName("access block", name, hb.LabelRanges[0]) {
		return
	}
	if first, ok := c.places[name]; ok {
		c.found.add(hb.LabelRanges[0], "give it another name", "access %q is there twice, first at %s", name, placeOf(first))
		return
	}
	c.places[name] = hb.DefRange
	b := openBlock(hb.Body, hb.DefRange, accessShape, c.found)
	a := &Access{Name: name, Place: placeOf(hb.DefRange), Services: servicePatterns(b), Devices: devicePatterns(b), Properties: compileProperties(b), When: b.text("when")}
	a.Audit, _ = b.flag("audit")
	if a.When != "" {
		a.when = c.compileWhen(b, pathPattern{{kind: restSegment}}, 0)
	}
	for _, inner := range blocksOf(b, "allow") {
		a.Allow = append(a.Allow, c.compileAllow(openBlock(inner.Body, inner.DefRange, allowShape, c.found), len(a.Services) > 0)...)
	}
	for _, inner := range blocksOf(b, "limit") {
		rule := compileRate(openBlock(inner.Body, inner.DefRange, rateShape, c.found), name)
		if slices.ContainsFunc(a.Limits, func(o RateRule) bool { return o.By == rule.By }) {
			c.found.add(inner.DefRange, "merge them into one", "access %q has two limits by %s", name, rule.By)
		}
		a.Limits = append(a.Limits, rule)
	}
	if len(a.Allow) == 0 && !a.Audit {
		c.found.add(hb.DefRange, "add an allow block; an empty one allows everything", "access %q allows nothing", name)
	}
	c.policy.access = append(c.policy.access, a)
}

// compileAllow returns one Allow for the methods and the path of a block, and one
// or two for each of its topic filters.
func (c *accessCompiler) compileAllow(b *block, services bool) []Allow {
	var topics []Allow
	for _, word := range topicWords {
		if services != (word.method == MethodCommand) && b.has(word.key) {
			b.fail(word.key, "commands are for blocks that name services, all else for those that do not", "not of this block")
		}
		topics = append(topics, compileTopics(b, word.key, word.method)...)
	}
	a := Allow{Methods: compileMethods(b)}
	if len(topics) > 0 && !b.has("methods") && !b.has("path") {
		return topics
	}
	if services && (b.has("methods") || b.has("path")) {
		b.fail("path", `write command = ["commands/${device.id}/#"]`, "services send commands on topics")
	}
	path, ok := b.textOfDevice("path")
	if !ok {
		return append(topics, a)
	}
	pattern, err := parseAccessPath(path)
	if err != nil {
		b.fail("path", accessPathFix, "%v", err)
	}
	a.Path, a.pattern = readable(path), pattern
	return append(topics, a)
}

// topicWords are the keys whose values are topic filters.
var topicWords = [...]struct{ key, method string }{
	{"publish", MethodPublish}, {"subscribe", MethodSubscribe}, {"command", MethodCommand},
}

const topicFilterFix = `write topic filters, such as ["telemetry/${device.id}/#"]`

// compileTopics reads a list of topic filters. "a/#" names "a" as well (MQTT 5.0,
// section 4.7.1.2).
func compileTopics(b *block, key, method string) []Allow {
	var all []Allow
	for _, i := range b.listOfDevice(key) {
		filters := []string{i.value}
		if parent, ok := strings.CutSuffix(i.value, "/#"); ok && parent != "" {
			filters = append(filters, parent)
		}
		for _, filter := range filters {
			pattern, err := parseAccessFilter(filter)
			if err != nil {
				b.found.add(i.at, topicFilterFix, "%s: %v", key, err)
				break
			}
			all = append(all, Allow{Methods: []string{method}, Path: readable(filter), pattern: pattern})
		}
	}
	return all
}

func compileRate(b *block, access string) RateRule {
	rule := RateRule{By: "id"}
	if b.has("by") {
		rule.By = compileProperty(b, "by")
	}
	rule.name = access + "/" + rule.By
	if !b.has("rate") {
		b.fail("rate", rateFix, "missing")
		return rule
	}
	text := b.text("rate")
	var err error
	if rule.Rate, err = parseRate(text); err != nil && text != "" {
		b.fail("rate", rateFix, "bad rate %q", text)
	}
	usual := min(MaxBurst, max(1, int(rule.Rate)))
	rule.Burst = b.number("burst", 1, MaxBurst, usual)
	return rule
}

const rateFix = `write how many a second, minute or hour, such as "10/s", "6/m" or "100/h"`

func parseRate(s string) (perSecond float64, err error) {
	digits, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(digits, 10, 20)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || n == 0 || seconds == 0 {
		return 0, ErrInvalid
	}
	return float64(n) / seconds, nil
}

func (c *accessCompiler) compileDeny(b *block) {
	if !b.has("devices") {
		b.fail("devices", deviceFix, "missing")
	}
	p := c.policy
	for _, pattern := range devicePatterns(b) {
		if strings.Contains(pattern, "*") {
			p.deniedLike = append(p.deniedLike, pattern)
			continue
		}
		if p.denied == nil {
			p.denied = map[string]bool{}
		}
		p.denied[pattern] = true
	}
}

// servicePatterns reads the names of local services that a block is about.
func servicePatterns(b *block) []string {
	items := b.list("services")
	if b.has("services") && len(items) == 0 {
		b.fail("services", `write names of egress clients, or ["*"] for any`, "no service in the list")
	}
	return values(items)
}

// devicePatterns reads the ids that a block names. An empty list is a mistake,
// not everybody.
func devicePatterns(b *block) []string {
	items := b.list("devices")
	if b.has("devices") && len(items) == 0 {
		b.fail("devices", deviceFix+"; leave it out for all", "no device in the list")
	}
	for _, i := range items {
		if len(i.value) > maxDevicePattern || strings.ContainsFunc(i.value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			b.found.add(i.at, deviceFix, "devices: %.80q is no id of a device", i.value)
		}
	}
	return values(items)
}

func compileProperties(b *block) []PropertyMatch {
	var matches []PropertyMatch
	for _, i := range b.pairs("properties") {
		switch {
		case !propertyPattern.MatchString(i.key):
			b.found.add(i.at, `use lower-case letters, digits and '_', a letter first, such as "tenant"`, "properties: bad name of a property: %q", i.key)
		case i.value == "":
			b.found.add(i.at, `write a value, or "*" for any`, "properties: %s is empty", i.key)
		default:
			matches = append(matches, PropertyMatch{Name: i.key, Value: i.value, Any: i.value == "*"})
		}
	}
	return matches
}

// listOfDevice reads a list of strings in which ${device.NAME} may stand.
func (b *block) listOfDevice(key string) (items []item) {
	if !b.has(key) {
		return nil
	}
	exprs, diags := hcl.ExprList(b.attrs[key].Expr)
	if diags.HasErrors() || len(exprs) == 0 {
		b.fail(key, topicFilterFix, "want a list of strings")
		return nil
	}
	for _, expr := range exprs {
		if text, ok := b.referring(key, expr); ok {
			items = append(items, item{value: text, at: expr.Range()})
		}
	}
	return items
}

// textOfDevice reads a string in which ${device.NAME} may stand.
func (b *block) textOfDevice(key string) (string, bool) {
	if !b.has(key) {
		return "", false
	}
	return b.referring(key, b.attrs[key].Expr)
}

// referring evaluates a string in which each ${device.NAME} becomes the name
// between referenceBegin and referenceEnd.
func (b *block) referring(key string, expr hcl.Expression) (string, bool) {
	names := map[string]cty.Value{}
	for _, reference := range expr.Variables() {
		name, ok := deviceReference(reference)
		if !ok {
			b.found.add(reference.SourceRange(), "${device.id}, and properties such as ${device.tenant}, are all there is", "%s: unknown reference", key)
			return "", false
		}
		names[name] = cty.StringVal(referenceBegin + name + referenceEnd)
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{"device": cty.ObjectVal(names)}})
	if diags.HasErrors() {
		b.found.addHCL(diags, accessPathFix)
		return "", false
	}
	if v.IsNull() || v.Type() != cty.String {
		b.fail(key, accessPathFix, "want a string, have %s", kindOf(v))
		return "", false
	}
	if v.AsString() == "" {
		b.fail(key, "leave it out for every path, or give it a value", "empty")
		return "", false
	}
	return v.AsString(), true
}

func deviceReference(t hcl.Traversal) (name string, ok bool) {
	if len(t) != 2 || t.RootName() != "device" {
		return "", false
	}
	attr, ok := t[1].(hcl.TraverseAttr)
	return attr.Name, ok && propertyPattern.MatchString(attr.Name)
}

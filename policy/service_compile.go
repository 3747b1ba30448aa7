package policy

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

var (
	serviceShape = blockShape{
		keys:   []string{"timeout", "failover", "beyond_group"},
		blocks: map[string][]string{"subset": {"name"}, "limit": nil, "quota": nil},
	}
	subsetShape = blockShape{keys: []string{"tags", "meta"}}
	limitShape  = blockShape{keys: []string{"in_flight", "adaptive"}}
	quotaShape  = blockShape{keys: []string{"by", "share"}}
)

func compileService(into map[string]*Service, hb *hcl.Block, found *findings) {
	name := hb.Labels[0]
	if !found.checkName("service", name, hb.LabelRanges[0]) {
		return
	}
	if into[name] != nil {
		found.add(hb.LabelRanges[0], "merge them into one", "service %q is there twice", name)
		return
	}
	b := openBlock(hb.Body, hb.DefRange, serviceShape, found)
	s := &Service{Name: name, Timeout: DefaultTimeout, Failover: compileFailover(b)}
	if d, ok := b.duration("timeout"); ok {
		s.Timeout = d
	}
	s.Failover.BeyondGroup, _ = b.flag("beyond_group")
	if s.Failover.BeyondGroup && s.Failover.Mode != FailoverNearest {
		b.fail("beyond_group", "remove it, or use failover = \"nearest\"", "has no effect unless failover is \"nearest\"")
	}
	for _, inner := range blocksOf(b, "subset") {
		compileSubset(s, inner, found)
	}
	if inner := b.one("limit"); inner != nil {
		s.InFlight, s.Fixed = compileLimit(openBlock(inner.Body, inner.DefRange, limitShape, found))
	}
	if inner := b.one("quota"); inner != nil {
		s.Quota = compileQuota(openBlock(inner.Body, inner.DefRange, quotaShape, found))
	}
	into[name] = s
}

func compileFailover(b *block) Failover {
	if !b.has("failover") {
		return Failover{}
	}
	if _, diags := hcl.ExprList(b.attrs["failover"].Expr); !diags.HasErrors() {
		return failoverList(b)
	}
	switch mode := b.text("failover"); mode {
	case "nearest", "":
		return Failover{}
	case "none":
		return Failover{Mode: FailoverNone}
	default:
		b.fail("failover", `use "nearest", "none", or a list of regions such as ["eu-2", "us-1"]`, "unknown mode %q", mode)
		return Failover{}
	}
}

func failoverList(b *block) Failover {
	regions := regionNames(b, "failover")
	if len(regions) == 0 {
		b.fail("failover", `use "none" to stay in the region`, "no region in the list")
	}
	return Failover{Mode: FailoverList, Regions: regions}
}

func regionNames(b *block, key string) []string {
	items := b.list(key)
	for _, i := range items {
		b.found.checkName("region", i.value, i.at)
	}
	return values(items)
}

func compileLimit(b *block) (inFlight int, fixed bool) {
	adaptive, given := b.flag("adaptive")
	fixed = given && !adaptive
	switch {
	case b.has("in_flight"):
		inFlight = b.number("in_flight", 1, MaxInFlight, 0)
	case !fixed:
		b.fail("in_flight", "write in_flight = 64, or remove the block", "missing")
	}
	return inFlight, fixed
}

var propertyPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

func compileQuota(b *block) QuotaRule {
	q := QuotaRule{By: compileProperty(b, "by")}
	if b.has("share") {
		q.Share = b.share("share")
	} else {
		b.fail("share", `write share = "50%"`, "missing")
	}
	return q
}

// compileProperty reads the name of a property of devices, which must be there.
func compileProperty(b *block, key string) string {
	name := b.text(key)
	switch {
	case !b.has(key):
		b.fail(key, `name a property of devices, such as by = "tenant"`, "missing")
	case name != "" && !propertyPattern.MatchString(name):
		b.fail(key, `use lower-case letters, digits and '_', a letter first, such as "tenant"`, "bad name of a property: %q", name)
	}
	return name
}

// share reads a percentage as a part of 1; 0: it was reported.
func (b *block) share(key string) float64 {
	text := b.text(key)
	digits, marked := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseUint(digits, 10, 8)
	if text == "" {
		return 0 // reported
	}
	if !marked || err != nil || percent < 1 || percent > 100 {
		b.fail(key, `write whole percents from "1%" to "100%"`, "bad share %q", text)
		return 0
	}
	return float64(percent) / 100
}

func compileSubset(s *Service, hb *hcl.Block, found *findings) {
	name := hb.Labels[0]
	if !found.checkName("subset", name, hb.LabelRanges[0]) {
		return
	}
	if s.Subsets[name] != nil {
		found.add(hb.LabelRanges[0], "merge them into one", "subset %q of service %q is there twice", name, s.Name)
		return
	}
	b := openBlock(hb.Body, hb.DefRange, subsetShape, found)
	sub := &Subset{Name: name, Tags: values(b.list("tags")), Meta: subsetMeta(b)}
	if len(sub.Tags) == 0 && len(sub.Meta) == 0 {
		found.add(hb.DefRange, "give it tags or meta", "subset %q selects every instance", name)
	}
	if s.Subsets == nil {
		s.Subsets = map[string]*Subset{}
	}
	s.Subsets[name] = sub
}

func subsetMeta(b *block) map[string]string {
	var meta map[string]string
	for _, i := range b.pairs("meta") {
		if _, ok := meta[i.key]; ok || i.key == "" {
			b.found.add(i.at, "remove one", "meta: %q is empty or there twice", i.key)
			continue
		}
		if meta == nil {
			meta = map[string]string{}
		}
		meta[i.key] = i.value
	}
	return meta
}

package policy_test

import (
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

// Each pair looks alike, yet some message gets past the first to the second.
func TestRoutesThatAreOnlyPartlyHiddenAreAccepted(t *testing.T) {
	const payload = "when = \"payload.x == 1\"\npayload_limit = %q"
	for what, pair := range map[string][2]string{
		"another method":        {`methods = ["GET"]`, `methods = ["GET", "POST"]`},
		"no methods":            {`methods = ["GET"]`, ``},
		"another header":        {`headers = { "X-A" = "1" }`, `headers = { "X-B" = "1" }`},
		"another value":         {`headers = { "X-A" = "1" }`, `headers = { "X-A" = "2" }`},
		"any value":             {`headers = { "X-A" = "1" }`, `headers = { "X-A" = "*" }`},
		"no header":             {`headers = { "X-A" = "*" }`, ``},
		"another when":          {`when = "device.id == '1'"`, `when = "device.id == '2'"`},
		"no when":               {`when = "device.id == '1'"`, ``},
		"a larger payload":      {fmt.Sprintf(payload, "1KiB"), fmt.Sprintf(payload, "2KiB")},
		"captures of one name":  {"path = \"/{a}/{b}\"\nwhen = \"captures.a == '1'\"", "path = \"/{b}/{a}\"\nwhen = \"captures.a == '1'\""},
		"another literal":       {`path = "/a/{x}"`, `path = "/b/{x}"`},
		"an escaped slash":      {`path = "/a%2Fb"`, `path = "/a/b"`},
		"the rest":              {`path = "/a/{x}"`, `path = "/a/{x...}"`},
		"another host":          {`host = "a.example.com"`, `host = "*.example.com"`},
		"a final slash":         {`path = "/a"`, `path = "/a/"`},
		"a rest after a prefix": {`path = "/a/{x...}"`, ``},
	} {
		src := "service \"s\" {}\n"
		for i, match := range pair {
			src += fmt.Sprintf("route \"r%d\" {\nmatch {\n%s\n}\nforward {\nservice = \"s\"\n}\n}\n", i, match)
		}
		if _, err := policy.Parse(policy.File{Name: "p.hcl", Src: []byte(src)}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRouteThatACaptureMayKeepOutHidesNothing(t *testing.T) {
	const route = "route %q {\nmatch {\npath = \"/{id}\"\n}\nforward {\nservice = \"s\"\n}\n%s}\n"
	p := compiled(t, "service \"s\" {}\n"+
		fmt.Sprintf(route, "labels", "rewrite {\nhost = \"{id}.internal\"\n}\n")+fmt.Sprintf(route, "others", ""))
	same(t, "a label", routeName(p.Decide(&policy.Message{Path: "/a"}, 0, nil)), "labels")
	same(t, "no label", routeName(p.Decide(&policy.Message{Path: "/a.b"}, 0, nil)), "others")
}

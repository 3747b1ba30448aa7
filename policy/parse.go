package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

var fileShape = blockShape{blocks: map[string][]string{"service": {"name"}, "route": {"name"}, "access": {"name"}, "deny": nil}}

// Parse compiles a policy from one or several files that are read as one; their
// order breaks ties between equally specific routes. On error it returns
// Diagnostics, of kind ErrInvalid, and no policy. No input makes it panic.
func Parse(files ...File) (*Policy, error) {
	p := &Policy{files: copyFiles(files), services: map[string]*Service{}}
	found := &findings{files: p.files}
	if checkSize(found); found.count > 0 {
		return nil, found.err()
	}
	p.version = versionOf(p.files)
	compile(p, found)
	if err := found.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func copyFiles(files []File) []File {
	copies := make([]File, len(files))
	for i, f := range files {
		copies[i] = File{Name: f.Name, Src: slices.Clone(f.Src)}
	}
	return copies
}

func checkSize(found *findings) {
	total := 0
	for _, f := range found.files {
		total += len(f.Src)
		if total > MaxSource {
			found.add(hcl.Range{Filename: f.Name}, "make it smaller", "the source is larger than %d bytes", MaxSource)
			return
		}
	}
}

func versionOf(files []File) string {
	h := sha256.New()
	for i, f := range files {
		if i > 0 {
			h.Write([]byte{0})
		}
		h.Write(f.Src)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// compile fills the policy: services first, because routes refer to them.
func compile(p *Policy, found *findings) {
	top := readFiles(found)
	if found.count > 0 {
		return
	}
	for _, b := range top["service"] {
		compileService(p.services, b, found)
	}
	routes := top["route"]
	if len(routes) > MaxRoutes {
		found.add(routes[MaxRoutes].DefRange, "", "more than %d routes", MaxRoutes)
		return
	}
	when := &conditions{found: found}
	(&accessCompiler{conditions: when, policy: p, places: map[string]hcl.Range{}}).compileAll(top["access"], top["deny"])
	c := &routeCompiler{conditions: when, services: p.services, places: map[string]hcl.Range{}}
	for i, b := range routes {
		if r := c.compile(b); r != nil {
			r.sourceOrder = i
			p.routes = append(p.routes, r)
		}
	}
	orderRoutes(p.routes)
	c.checkReachable(p.routes)
	p.index = buildIndex(p.routes)
}

// readFiles returns the blocks of all files by type.
func readFiles(found *findings) map[string]hcl.Blocks {
	all := map[string]hcl.Blocks{}
	names := map[string]bool{}
	for _, f := range found.files {
		if names[f.Name] {
			found.add(hcl.Range{Filename: f.Name}, "give each file its own name", "the file %q is there twice", f.Name)
			continue
		}
		names[f.Name] = true
		body := parseSyntax(f, true, found)
		if body == nil {
			continue
		}
		top := openBlock(body, hcl.Range{Filename: f.Name}, fileShape, found)
		for _, b := range top.blocks {
			all[b.Type] = append(all[b.Type], b)
		}
	}
	return all
}

func blocksOf(b *block, name string) hcl.Blocks {
	var all hcl.Blocks
	for _, inner := range b.blocks {
		if inner.Type == name {
			all = append(all, inner)
		}
	}
	return all
}

// placeOf names where a block begins.
func placeOf(at hcl.Range) string { return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line) }

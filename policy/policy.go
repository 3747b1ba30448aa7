package policy

import "sort"

// File is one source of a policy. A name that ends in ".json" is read as HCL's
// JSON form, everything else as HCL 2 native syntax. The name only serves
// diagnostics; it is never opened.
type File struct {
	Name string
	Src  []byte
}

// Policy is a compiled policy: immutable, safe for concurrent use, swapped
// whole. The zero value knows no service and matches nothing.
type Policy struct {
	version  string
	files    []File
	services map[string]*Service
	routes   []*Route // in the order they are considered
	index    routeIndex

	access     []*Access // in the order written
	denied     map[string]bool
	deniedLike []string // with a "*"
}

// Version names the content: the first 12 hex digits of the SHA-256 of the
// source (of the sources joined by a zero byte when there are several), so that
// `sha256sum policy.hcl` shows the same. File names do not count.
func (p *Policy) Version() string { return p.version }

// Source returns a copy of the files the policy was compiled from, in the order
// they were given.
func (p *Policy) Source() []File {
	files := make([]File, len(p.files))
	for i, f := range p.files {
		files[i] = File{Name: f.Name, Src: append([]byte(nil), f.Src...)}
	}
	return files
}

// Services returns the services by name. The map and what it leads to must not
// be changed.
func (p *Policy) Services() map[string]*Service { return p.services }

// Routes returns the routes in the order they are considered, most specific
// first. The slice and what it leads to must not be changed.
func (p *Policy) Routes() []*Route { return p.routes }

// Targets lists everything that can be forwarded to: every service followed by
// its subsets, in the order of their names.
func (p *Policy) Targets() []Target {
	var all []Target
	for _, s := range p.services {
		all = append(all, Target{Service: s.Name})
		for _, sub := range s.Subsets {
			all = append(all, Target{Service: s.Name, Subset: sub.Name})
		}
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Service != all[j].Service {
			return all[i].Service < all[j].Service
		}
		return all[i].Subset < all[j].Subset
	})
	return all
}

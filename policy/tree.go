package policy

import "strings"

// routeIndex finds the routes whose host and path fit a message, most specific
// first: exact host, wildcard host, any host; in each a tree of path segments.
type routeIndex struct {
	exact    map[string]*pathNode // by host
	wildcard map[string]*pathNode // by what follows the first label
	any      *pathNode
	payload  bool // some route looks at payloads
	unsorted bool // some route is unordered
}

// pathNode is one segment of the tree. Routes are in the order they are
// considered.
type pathNode struct {
	literal map[string]*pathNode // by decoded segment
	capture *pathNode
	ends    []*Route // the path ends here
	rest    []*Route // take whatever remains from here
}

// buildIndex takes routes in the order they are considered.
func buildIndex(routes []*Route) routeIndex {
	index := routeIndex{exact: map[string]*pathNode{}, wildcard: map[string]*pathNode{}, any: &pathNode{}}
	for _, r := range routes {
		index.tree(r.Match.Host).insert(r)
		index.payload = index.payload || r.Match.PayloadLimit > 0
		index.unsorted = index.unsorted || r.Unordered
	}
	return index
}

func (x *routeIndex) tree(host string) *pathNode {
	if host == "" {
		return x.any
	}
	trees := x.exact
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		trees, host = x.wildcard, suffix
	}
	if trees[host] == nil {
		trees[host] = &pathNode{}
	}
	return trees[host]
}

func (n *pathNode) insert(r *Route) {
	for _, s := range r.pattern {
		switch s.kind {
		case restSegment:
			n.rest = append(n.rest, r)
			return
		case captureSegment:
			if n.capture == nil {
				n.capture = &pathNode{}
			}
			n = n.capture
		default:
			n = n.child(s.text)
		}
	}
	n.ends = append(n.ends, r)
}

func (n *pathNode) child(text string) *pathNode {
	if n.literal == nil {
		n.literal = map[string]*pathNode{}
	}
	if n.literal[text] == nil {
		n.literal[text] = &pathNode{}
	}
	return n.literal[text]
}

// first returns the first candidate that the search accepts. The path is known
// to be without fault.
func (x *routeIndex) first(s *search) *Route {
	if x.any == nil {
		return nil
	}
	host := bareHost(s.m.Host)
	if r := x.exact[host].first(s, s.m.Path[1:]); r != nil {
		return r
	}
	if label, suffix, _ := strings.Cut(host, "."); label != "" {
		if r := x.wildcard[suffix].first(s, s.m.Path[1:]); r != nil {
			return r
		}
	}
	return x.any.first(s, s.m.Path[1:])
}

// first walks the tree, backing up where a branch leads nowhere; every node is
// visited at most once.
func (n *pathNode) first(s *search, rest string) *Route {
	if n == nil {
		return nil
	}
	seg, tail, more := strings.Cut(rest, "/")
	if child := n.literal[decodeSegment(seg)]; child != nil {
		if r := child.next(s, tail, more); r != nil {
			return r
		}
	}
	if n.capture != nil && seg != "" {
		if r := n.capture.next(s, tail, more); r != nil {
			return r
		}
	}
	return s.accept(n.rest)
}

func (n *pathNode) next(s *search, tail string, more bool) *Route {
	if more {
		return n.first(s, tail)
	}
	return s.accept(n.ends)
}

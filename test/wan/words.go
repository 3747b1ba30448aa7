//go:build linux

package wan

import (
	"fmt"
	"strings"
)

// Do changes the network as a line says:
//
//	set A B WORD...    words of Profile.Set; what no word names stays as it is
//	cut A B            nothing gets from A to B or from B to A
//	heal A B           what a cut was is over
//	reset A B          back to what Config.Setup said
//	isolate A          cut A from all others
//
// "A B" means both directions between all regions that A and B name, "A->B" only
// the one. A name is a region's, the part of it before the last dash ("eu" for
// eu-1 and eu-2), or * for all. heal and reset without names mean everything.
// Errors are of kind ErrInvalid; a line with one changes nothing.
func (w *WAN) Do(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return fmt.Errorf("%w: an empty line: use set, cut, heal, reset or isolate", ErrInvalid)
	}
	links, rest, err := w.between(words[0], words[1:])
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	alter, err := alteration(words[0], rest)
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	for _, try := range links { // all, before the first is changed
		p := try.current()
		alter(try, &p)
		if err := p.check(); err != nil {
			return fmt.Errorf("%q: from %s to %s: %w", line, try.from.Name, try.to.Name, err)
		}
	}
	for _, l := range links {
		if err := l.change(func(p *Profile) { alter(l, p) }); err != nil {
			return fmt.Errorf("%q: from %s to %s: %w", line, l.from.Name, l.to.Name, err)
		}
	}
	return nil
}

// alteration is what a line does to each direction.
func alteration(verb string, rest []string) (func(*link, *Profile), error) {
	if verb != "set" && len(rest) > 0 {
		return nil, fmt.Errorf("%w: unexpected %q", ErrInvalid, rest[0])
	}
	switch verb {
	case "cut", "isolate":
		return func(_ *link, p *Profile) { p.Cut = true }, nil
	case "heal":
		return func(_ *link, p *Profile) { p.Cut = false }, nil
	case "reset":
		return func(l *link, p *Profile) { *p = l.original }, nil
	case "set":
		for _, word := range rest {
			if err := new(Profile).Set(word); err != nil {
				return nil, err
			}
		}
		if len(rest) == 0 {
			return nil, fmt.Errorf("%w: say what to set, as delay=20ms", ErrInvalid)
		}
		return func(_ *link, p *Profile) {
			for _, word := range rest {
				_ = p.Set(word) // checked above
			}
		}, nil
	}
	return nil, fmt.Errorf("%w: %q: use set, cut, heal, reset or isolate", ErrInvalid, verb)
}

// between finds the directions that a line names, and the words behind them.
func (w *WAN) between(verb string, words []string) (links []*link, rest []string, err error) {
	from, to, both := "*", "*", true
	switch {
	case verb == "isolate":
		if len(words) == 0 {
			return nil, nil, fmt.Errorf("%w: say which region", ErrInvalid)
		}
		from, words = words[0], words[1:]
	case len(words) == 0 && (verb == "heal" || verb == "reset"):
	case len(words) > 0 && strings.Contains(words[0], "->"):
		from, to, _ = strings.Cut(words[0], "->")
		both, words = false, words[1:]
	case len(words) > 1:
		from, to, words = words[0], words[1], words[2:]
	default:
		return nil, nil, fmt.Errorf("%w: say between which regions: A B, or A->B", ErrInvalid)
	}
	for _, l := range w.links {
		if names(from, l.from) && names(to, l.to) || both && names(to, l.from) && names(from, l.to) {
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return nil, nil, fmt.Errorf("%w: nothing lies between %q and %q", ErrInvalid, from, to)
	}
	return links, words, nil
}

func names(name string, r *Region) bool {
	dash := strings.LastIndexByte(r.Name, '-')
	return name == "*" || name == r.Name || dash > 0 && name == r.Name[:dash]
}

// Change alters the profile of one direction. Errors are of kind ErrInvalid and
// leave it as it was. alter must not call methods of the network.
func (w *WAN) Change(from, to string, alter func(*Profile)) error {
	for _, l := range w.links {
		if l.from.Name == from && l.to.Name == to {
			return l.change(alter)
		}
	}
	return fmt.Errorf("%w: nothing leads from %q to %q", ErrInvalid, from, to)
}

// Direction is how one leads from a region to another.
type Direction struct {
	From, To string
	Profile  Profile
	Counters Counters
}

// Directions lists all, in the order of the regions.
func (w *WAN) Directions() []Direction {
	var all []Direction
	for _, l := range w.links {
		all = append(all, Direction{l.from.Name, l.to.Name, l.current(), l.counters()})
	}
	return all
}

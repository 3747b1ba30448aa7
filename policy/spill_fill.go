package policy

// fill pours the demand of several regions into the headroom of others. It is
// memory that is used again; set it up with reset.
type fill struct {
	n        int
	rem      []float64 // by source: demand that has no place yet
	homeless []bool    // by source: it cannot serve anything itself
	head     []float64 // by destination: room that is left
	closed   []bool    // by destination: open to the homeless only
	flow     []float64 // what went from where to where: source × n + destination
	ask      []float64
	taken    []float64
	at       []int // by source: the next hop to look at
	ring     []ringSource
}

// ringSource is a source and those of its hops that are in the ring.
type ringSource struct {
	from int
	hops []hop
	room float64
}

const crumb = 1e-9 // req/s: less is no demand and no room

func (f *fill) resize(n int) {
	*f = fill{
		n: n, rem: make([]float64, n), homeless: make([]bool, n), head: make([]float64, n), closed: make([]bool, n),
		flow: make([]float64, n*n), ask: make([]float64, n), taken: make([]float64, n), at: make([]int, n),
	}
}

func (f *fill) reset() {
	for _, s := range [][]float64{f.rem, f.head, f.flow} {
		clear(s)
	}
	clear(f.homeless)
	clear(f.closed)
}

// pour goes through the rings of all sources outwards. In each, a source asks
// every region in proportion to its room, and a region that is asked for more
// than it has serves all in proportion; so nearness decides between rings and
// room within one.
func (f *fill) pour(order [][]hop) {
	clear(f.at)
	for f.nextRing(order) {
		for range f.n + 1 { // each round fills a region, or serves all that ask
			if !f.round() {
				break
			}
		}
	}
}

// nextRing gathers the sources whose next hops are the nearest of all.
func (f *fill) nextRing(order [][]hop) bool {
	const none = 1 << 30
	key := none
	for from, hops := range order {
		if f.rem[from] > crumb && f.at[from] < len(hops) {
			key = min(key, hops[f.at[from]].key)
		}
	}
	f.ring = f.ring[:0]
	for from, hops := range order {
		start := f.at[from]
		end := start
		for end < len(hops) && hops[end].key <= key {
			end++
		}
		f.at[from] = end
		if f.rem[from] > crumb && end > start {
			f.ring = append(f.ring, ringSource{from: from, hops: hops[start:end]})
		}
	}
	return key < none
}

func (f *fill) room(from, to int) float64 {
	if f.closed[to] && !f.homeless[from] {
		return 0
	}
	return f.head[to]
}

func (f *fill) round() bool {
	clear(f.ask)
	clear(f.taken)
	for i := range f.ring {
		g := &f.ring[i]
		g.room = 0
		for _, h := range g.hops {
			g.room += f.room(g.from, h.to)
		}
		f.each(g, func(to int, want float64) { f.ask[to] += want })
	}
	went := false
	for i := range f.ring {
		g, given := &f.ring[i], 0.0
		f.each(g, func(to int, want float64) {
			grant := want * min(1, f.head[to]/f.ask[to])
			f.flow[g.from*f.n+to] += grant
			f.taken[to] += grant
			given += grant
		})
		f.rem[g.from] = max(0, f.rem[g.from]-given)
		went = went || given > crumb
	}
	for to := range f.head {
		f.head[to] = max(0, f.head[to]-f.taken[to])
	}
	return went
}

// each says what a source wants of every region of its ring.
func (f *fill) each(g *ringSource, do func(to int, want float64)) {
	rem := f.rem[g.from]
	if rem <= crumb || g.room <= crumb {
		return
	}
	for _, h := range g.hops {
		if room := f.room(g.from, h.to); room > 0 {
			do(h.to, rem*room/g.room)
		}
	}
}

// spread gives what the homeless have left to all regions that they may go to,
// in proportion to their capacity: each sheds by rank what is too much.
func (f *fill) spread(order [][]hop, capacity func(to int) float64) {
	for from, hops := range order {
		if !f.homeless[from] || f.rem[from] <= crumb {
			continue
		}
		sum := 0.0
		for _, h := range hops {
			sum += capacity(h.to)
		}
		if sum <= 0 {
			continue
		}
		for _, h := range hops {
			f.flow[from*f.n+h.to] += f.rem[from] * capacity(h.to) / sum
		}
		f.rem[from] = 0
	}
}

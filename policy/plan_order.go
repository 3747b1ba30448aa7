package policy

// PlanOrder is the order in which one request tries the legs of its plan: the
// one drawn by weight, then the others as they stand in the plan. A value; the
// plan's legs are shared, not copied.
type PlanOrder struct {
	legs  []Leg
	first int
}

// Order draws the first leg by weight; with no weights it is the plan's first.
// rng is a uniformly random value. Does not allocate.
func (p Plan) Order(rng uint64) PlanOrder {
	o := PlanOrder{legs: p.Legs}
	at := float64(scramble(rng)>>11) / (1 << 53)
	for n := range p.Legs {
		weight := p.Legs[n].Weight
		if at < weight {
			o.first = n
			break
		}
		at -= weight
	}
	return o
}

// Len counts the legs.
func (o PlanOrder) Len() int { return len(o.legs) }

// At returns the leg to try n-th, from 0. It panics when n is out of range.
func (o PlanOrder) At(n int) Leg {
	switch {
	case n == 0:
		return o.legs[o.first]
	case n <= o.first:
		return o.legs[n-1]
	}
	return o.legs[n]
}

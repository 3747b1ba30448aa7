package policy

// rankMix is by which ranks recent arrivals came, and by which those will come
// that are expected.
type rankMix struct {
	recent   [int(MaxRank) + 1]uint16
	total    float64
	expected classRates // per second, beyond what has come: spilled
	moving   classRates // the same: local
}

func (m *rankMix) read(meter *meter) {
	clear(m.recent[:])
	m.total = 0
	for i := range meter.recent {
		if rank := meter.recent[i].Load(); rank > 0 {
			m.recent[Rank(rank-1).bounded()]++
			m.total++
		}
	}
}

func (m *rankMix) expectedRate() float64 { return sumOf(m.expected) + sumOf(m.moving) }

// below returns the highest threshold that refuses no more than share of what
// arrives at rate and of what is expected. Rounding down leaves what one rank has
// too much to the queue: one device may be half of the load.
func (m *rankMix) below(share, rate float64) Rank {
	if share <= 0 || m.total == 0 {
		return 0
	}
	most := share * (rate + m.expectedRate())
	refused := 0.0
	for rank := range Rank(len(m.recent)) {
		refused += float64(m.recent[rank]) / m.total * rate
		switch {
		case rank.Spilled():
			refused += m.expected[rank.Class()] / cohorts
		case !rank.OverQuota():
			refused += m.moving[rank.Class()] / cohorts
		}
		if refused > most {
			return rank
		}
	}
	return MaxRank + 1
}

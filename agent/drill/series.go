package drill

import "time"

// series is one of one agent. Its points are in the order of time.
type series struct {
	agent, region string
	name          string
	labels        map[string]string
	since         time.Time // when its agent answered first, with or without it
	points        []point
}

type point struct {
	at    time.Time
	value float64
}

// within says whether something that was seen at a time belongs to a window.
func within(at, from, until time.Time) bool { return at.After(from) && !at.After(until) }

// increase is how much a counter rose in a window, restarts of its agent included.
// What rose between two samples is spread evenly over the time between them.
func (s *series) increase(from, until time.Time) (sum float64) {
	last := point{at: s.points[0].at.Add(-sampleEvery)}
	if !s.since.Before(s.points[0].at) {
		last = s.points[0] // it was there before anybody looked
	}
	for _, p := range s.points {
		rise := p.value - last.value
		if rise < 0 {
			rise = p.value
		}
		sum += rise * overlap(last.at, p.at, from, until)
		last = p
	}
	return sum
}

// overlap is the part of the span from a to b that lies in a window.
func overlap(a, b, from, until time.Time) float64 {
	if !a.Before(b) {
		return 0
	}
	shared := earlier(b, until).Sub(later(a, from))
	return max(shared.Seconds(), 0) / b.Sub(a).Seconds()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// values are those seen in a window.
func (s *series) values(from, until time.Time) (all []float64) {
	for _, p := range s.points {
		if within(p.at, from, until) {
			all = append(all, p.value)
		}
	}
	return all
}

package schedule

import (
	"cmp"
	"slices"
	"time"
)

// Episodes are the events between two quiet times.
func Episodes(events []Event) (all [][]Event) {
	begin := 0
	for i := range events {
		if i > 0 && events[i].At >= end(events[begin:i])+Quiet {
			all = append(all, events[begin:i:i])
			begin = i
		}
	}
	if len(events) > 0 {
		all = append(all, events[begin:])
	}
	return all
}

// end of the last of some events, 0 of none.
func end(events []Event) (last time.Duration) {
	for i := range events {
		last = max(last, events[i].End())
	}
	return last
}

func inOrder(events []Event) []Event {
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events
}

// Only is the schedule with some of its events, moved to the front: each episode
// begins as soon as it may.
func (s *Schedule) Only(events []Event) Schedule {
	less := Schedule{Seed: s.Seed}
	at := First
	for _, episode := range Episodes(events) {
		early := episode[0].At - at
		for _, e := range episode {
			e.At -= early
			less.Events = append(less.Events, e)
		}
		at = end(less.Events) + Quiet
	}
	less.Lasts = at
	return less
}

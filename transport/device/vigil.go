package device

import "time"

// vigil notices that an agent is no longer heard. It does no I/O and reads no
// clock. While something is under way any sign of life counts; after half of
// the silence that is borne one is asked for. While nothing is under way one is
// asked for every keep-alive.
type vigil struct {
	silence   time.Duration // borne while something is under way
	keepAlive time.Duration

	heard   uint64    // the link's count of signs of life
	heardAt time.Time // when it last changed
	since   time.Time // since when something has been under way; zero: nothing is
	spokeAt time.Time // when something was last sent
	asked   time.Time // when a sign of life was asked for; zero: none is due
	due     time.Time // when look wants to be called again
}

func newVigil(silence, keepAlive time.Duration, now time.Time) vigil {
	return vigil{silence: silence, keepAlive: keepAlive, heardAt: now, spokeAt: now}
}

type watchword uint8

const (
	well watchword = iota
	ask            // send something that has to be answered
	dead
)

// look judges the link. heard is its count of signs of life, underWay whether an
// answer is awaited, slack what is allowed beyond the silence.
func (v *vigil) look(now time.Time, heard uint64, underWay bool, slack time.Duration) watchword {
	silence := v.silence + slack
	v.forgive(now, silence/4)
	if heard != v.heard {
		v.heard, v.heardAt, v.asked = heard, now, time.Time{}
	}
	if waiting := underWay || !v.asked.IsZero(); !waiting {
		v.since = time.Time{}
	} else if v.since.IsZero() {
		v.since = now
	}
	said := v.judge(now, silence)
	if said == ask {
		v.asked, v.spokeAt = now, now
		if v.since.IsZero() {
			v.since = now
		}
	}
	v.due = v.next(silence)
	return said
}

// forgive does not hold it against the agent when this process was not running.
func (v *vigil) forgive(now time.Time, most time.Duration) {
	if late := now.Sub(v.due); !v.due.IsZero() && late > most {
		for _, at := range []*time.Time{&v.heardAt, &v.since, &v.asked} {
			if !at.IsZero() {
				*at = at.Add(late)
			}
		}
	}
}

func (v *vigil) judge(now time.Time, silence time.Duration) watchword {
	quiet := now.Sub(later(v.heardAt, v.since))
	switch {
	case !v.asked.IsZero() && quiet >= silence && now.Sub(v.asked) >= silence/2:
		return dead
	case !v.asked.IsZero():
		return well
	case !v.since.IsZero() && quiet >= silence/2, now.Sub(v.spokeAt) >= v.keepAlive:
		return ask
	}
	return well
}

func (v *vigil) next(silence time.Duration) time.Time {
	base := later(v.heardAt, v.since)
	switch {
	case !v.asked.IsZero():
		return later(base.Add(silence), v.asked.Add(silence/2))
	case !v.since.IsZero():
		return earlier(base.Add(silence/2), v.spokeAt.Add(v.keepAlive))
	}
	return v.spokeAt.Add(v.keepAlive)
}

// spoke notes that something was sent.
func (v *vigil) spoke(now time.Time) {
	v.spokeAt = now
	if v.since.IsZero() {
		v.since = now
		v.due = earlier(v.due, now.Add(v.silence/2))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier takes the zero time as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

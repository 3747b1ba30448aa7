package policy

import (
	"slices"
	"time"
)

// pulse is what a gateway hears of one region.
type pulse struct {
	state  RegionState
	silent bool // as of the last tick

	peers   map[string]*peerRTT // watched now
	rtt     SteadyRTT
	heardAt time.Time // newest packet of a watched peer; zero: never
	since   time.Time // begin of the hearing without a gap; zero: none
	graceAt time.Time // as if heard then, for a set of peers that is all new
	graced  bool      // grace was given since the newest packet

	opinions  map[string]opinion // by fellow
	othersEar time.Time          // since when every fellow that speaks hears it; zero: not
}

type opinion struct {
	silent bool
	at     time.Time
}

func (r *pulse) watch(peers []string, now time.Time) {
	next := make(map[string]*peerRTT, len(peers))
	fresh := len(peers) > 0
	for _, name := range peers {
		if known := r.peers[name]; known != nil {
			next[name], fresh = known, false
		} else {
			next[name] = new(peerRTT)
		}
	}
	r.peers = next
	if fresh && !r.graced {
		r.graceAt, r.graced = now, true
	}
}

// hear notes a packet. A gap during which this gateway itself stood still is
// none.
func (r *pulse) hear(now time.Time, stalled, silence time.Duration) {
	if r.since.IsZero() || now.Sub(r.heardAt)-stalled >= silence {
		r.since = now
	}
	r.heardAt = later(r.heardAt, now)
	r.graced = false
}

func (r *pulse) shift(by time.Duration, now time.Time) {
	for _, t := range []*time.Time{&r.heardAt, &r.since, &r.graceAt, &r.othersEar} {
		*t = shifted(*t, by, now)
	}
	for from, o := range r.opinions {
		o.at = shifted(o.at, by, now)
		r.opinions[from] = o
	}
}

func shifted(t time.Time, by time.Duration, now time.Time) time.Time {
	if t.IsZero() || t.After(now) {
		return t
	}
	if moved := t.Add(by); moved.Before(now) {
		return moved
	}
	return now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tick updates the own opinion and returns the state that follows, and why.
func (r *pulse) tick(cfg *LivenessConfig, fellows []string, now time.Time) (RegionState, string) {
	r.silent = r.isSilent(cfg, now)
	hear, silent := r.tally(cfg, fellows, now)
	r.listenToOthers(hear > 0 && silent == 0, now)
	switch r.state {
	case RegionUnknown:
		if !r.heardAt.IsZero() && !r.silent {
			return RegionAlive, "heard for the first time"
		}
	case RegionAlive:
		if r.silent && silent > 0 {
			return RegionDown, "silent, another gateway confirms"
		}
		if r.silent && hear == 0 {
			return RegionDown, "silent, no other gateway speaks"
		}
	case RegionDown:
		if now.Sub(r.heardAt) < cfg.Silence && !r.since.IsZero() && r.heardAt.Sub(r.since) >= cfg.Return {
			return RegionAlive, "heard again without a gap"
		}
		if !r.othersEar.IsZero() && now.Sub(r.othersEar) >= cfg.Return {
			return RegionAlive, "every other gateway hears it again"
		}
	}
	return r.state, ""
}

func (r *pulse) enter(state RegionState, cfg *LivenessConfig, now time.Time) {
	r.state = state
	r.silent = r.isSilent(cfg, now)
	if state == RegionDown {
		r.since, r.othersEar = time.Time{}, time.Time{}
	}
}

// isSilent: what is held down is called silent until it is back for good, so
// that two gateways cannot talk each other out of a verdict.
func (r *pulse) isSilent(cfg *LivenessConfig, now time.Time) bool {
	return r.state == RegionDown || now.Sub(later(r.heardAt, r.graceAt)) > cfg.Silence+r.excess()
}

// tally counts the fellows whose opinion is fresh, and forgets old opinions.
func (r *pulse) tally(cfg *LivenessConfig, fellows []string, now time.Time) (hear, silent int) {
	for from, o := range r.opinions {
		switch {
		case now.Sub(o.at) > cfg.Confirm:
			delete(r.opinions, from)
		case !slices.Contains(fellows, from):
		case o.silent:
			silent++
		default:
			hear++
		}
	}
	return hear, silent
}

func (r *pulse) listenToOthers(hear bool, now time.Time) {
	switch {
	case !hear || len(r.peers) == 0:
		r.othersEar = time.Time{}
	case r.othersEar.IsZero():
		r.othersEar = now
	}
}

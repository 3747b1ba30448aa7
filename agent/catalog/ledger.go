package catalog

import (
	"slices"
	"strings"
	"time"
)

// ledger remembers, per followed service, what the source last said and what
// to make of answers that cannot be believed. It is pure: time is passed in,
// the owner locks.
//
//	full answer       its instances as they are; the ones it misses become Distrusted
//	filtered answer   its instances as they are; the ones it misses keep their status
//	empty answer      after some were known: all keep their status, later Distrusted; forgotten when confirmed
//	no answer         everything stays
type ledger struct {
	distrustFor time.Duration
	records     map[string]*record // followed services
	shelf       map[string]saved   // from disk, not followed yet
	index       uint64             // changes of instances so far
	answered    bool               // the source spoke since the start
}

// record is the ledger's page of one service.
type record struct {
	instances map[string]Instance  // by ID
	absent    map[string]time.Time // by ID, since when an instance is not listed
	emptied   time.Time            // since when answers are empty; zero: they are not
	index     uint64               // the source's, when it last listed instances; 0: not known
	restored  bool                 // its index went back since
	updated   time.Time            // last good answer
	back      time.Time            // when the source answered after it had not
	doubted   map[string]bool      // by ID: ready only because the source's word is not believed yet
	fault     fault
	sorted    []Instance // instances by ID, as snapshots show them
}

// saved is what outlives a run.
type saved struct {
	Updated   time.Time  `json:"updated"`
	Index     uint64     `json:"index,omitempty"` // the source's, when it last listed instances
	Instances []Instance `json:"instances"`
}

func newLedger(distrustFor time.Duration, shelf map[string]saved) *ledger {
	return &ledger{distrustFor: distrustFor, records: map[string]*record{}, shelf: shelf}
}

// follow replaces the set of services and says whether it changed.
func (l *ledger) follow(services []string, now time.Time) bool {
	changed := false
	for name := range l.records {
		if !slices.Contains(services, name) {
			delete(l.records, name)
			changed = true
		}
	}
	for _, name := range services {
		if _, known := l.records[name]; !known {
			l.records[name] = l.open(name, now)
			changed = true
		}
	}
	if changed {
		l.index++
	}
	return changed
}

func (l *ledger) open(name string, now time.Time) *record {
	r := &record{
		instances: map[string]Instance{},
		absent:    map[string]time.Time{},
		doubted:   map[string]bool{},
		fault:     fault{ErrUnavailable, errNotAnswered},
	}
	old := l.shelf[name]
	delete(l.shelf, name)
	for _, i := range old.Instances {
		r.instances[i.ID] = i
		if i.Status == Distrusted {
			r.absent[i.ID] = now
		}
	}
	r.index = old.Index
	if r.updated = old.Updated; r.updated.After(now) {
		r.updated = now
	}
	r.sort()
	return r
}

// answer takes what the source lists for a service. It says whether instances
// changed; the fault is then in the record.
func (l *ledger) answer(service string, listed []Instance, filtered bool, now time.Time) bool {
	r := l.records[service]
	if r == nil {
		return false
	}
	l.answered = true
	if r.fault.kind == ErrUnavailable {
		r.back = now
	}
	changed := r.take(listed, filtered, now)
	if changed {
		r.sort()
		l.index++
	}
	return changed
}

func (r *record) take(listed []Instance, filtered bool, now time.Time) bool {
	if len(listed) == 0 && len(r.instances) > 0 && !filtered {
		if r.emptied.IsZero() {
			r.emptied = now
		}
		r.fault = fault{kind: ErrEmpty}
		return false
	}
	r.emptied = time.Time{}
	changed := r.put(listed, now)
	if filtered {
		r.fault = fault{kind: ErrFiltered}
		return changed
	}
	r.fault, r.updated = fault{}, now
	return r.miss(listed, now) || changed
}

func (r *record) put(listed []Instance, now time.Time) bool {
	changed := false
	for _, i := range listed {
		i = r.benefit(i, now)
		old, known := r.instances[i.ID]
		if !known || !same(old, i) {
			r.instances[i.ID] = i
			changed = true
		}
		delete(r.absent, i.ID)
	}
	return changed
}

// miss distrusts what a full answer no longer lists. An instance whose address
// is listed under another ID is the same one, and forgotten at once.
func (r *record) miss(listed []Instance, now time.Time) bool {
	ids, addrs := make(map[string]bool, len(listed)), make(map[string]bool, len(listed))
	for _, i := range listed {
		ids[i.ID], addrs[i.Address] = true, true
	}
	changed := false
	for id, i := range r.instances {
		_, missed := r.absent[id]
		switch {
		case ids[id]:
		case addrs[i.Address]:
			r.drop(id)
			changed = true
		case !missed:
			r.distrust(id)
			r.absent[id] = now
			changed = true
		}
	}
	return changed
}

func (r *record) distrust(id string) {
	i := r.instances[id]
	i.Status = Distrusted
	r.instances[id] = i
	delete(r.doubted, id)
}

func (r *record) drop(id string) {
	delete(r.instances, id)
	delete(r.absent, id)
	delete(r.doubted, id)
}

// fail notes that the source did not answer for a service.
func (l *ledger) fail(service string, cause error) {
	if r := l.records[service]; r != nil {
		r.fault = fault{ErrUnavailable, cause}
	}
}

// expire forgets instances distrusted for too long and distrusts those whose
// service has been empty for too long. It says whether instances changed.
func (l *ledger) expire(now time.Time) bool {
	changed := false
	for _, r := range l.records {
		if r.expire(now, l.distrustFor) {
			r.sort()
			changed = true
		}
	}
	if changed {
		l.index++
	}
	return changed
}

func (r *record) expire(now time.Time, distrustFor time.Duration) bool {
	changed := r.believe(now)
	if !r.emptied.IsZero() && now.Sub(r.emptied) >= distrustFor {
		for id, i := range r.instances {
			if i.Status != Distrusted {
				r.distrust(id)
				changed = true
			}
		}
		return changed // the last known good is kept, however old
	}
	for id, since := range r.absent {
		if now.Sub(since) >= distrustFor {
			r.drop(id)
			changed = true
		}
	}
	return changed
}

func (r *record) sort() {
	r.sorted = make([]Instance, 0, len(r.instances))
	for _, i := range r.instances {
		r.sorted = append(r.sorted, i)
	}
	slices.SortFunc(r.sorted, byID)
}

func byID(a, b Instance) int { return strings.Compare(a.ID, b.ID) }

// snapshot shows the ledger as it is now.
func (l *ledger) snapshot() *Snapshot {
	s := &Snapshot{Services: make(map[string][]Instance, len(l.records)), Index: l.index}
	faults := map[string]fault{}
	for name, r := range l.records {
		s.Services[name] = r.sorted
		if r.fault.kind != nil {
			faults[name] = r.fault
		}
		if !r.updated.IsZero() && (s.Updated.IsZero() || r.updated.Before(s.Updated)) {
			s.Updated = r.updated
		}
	}
	s.Stale = len(faults) > 0
	s.Err = faultsOf(faults)
	s.Source = l.source(s.Updated)
	return s
}

func (l *ledger) source(updated time.Time) string {
	switch {
	case l.answered:
		return SourceConsul
	case !updated.IsZero():
		return SourceDisk
	}
	return SourceNone
}

// save returns what shall outlive this run: the followed services, and those
// of an earlier run that nobody has asked for yet.
func (l *ledger) save() map[string]saved {
	out := make(map[string]saved, len(l.records)+len(l.shelf))
	for name, s := range l.shelf {
		out[name] = s
	}
	for name, r := range l.records {
		if !r.updated.IsZero() {
			out[name] = saved{Updated: r.updated, Index: r.index, Instances: r.sorted}
		}
	}
	return out
}

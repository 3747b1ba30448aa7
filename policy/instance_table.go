package policy

import (
	"sync"
	"time"
)

// DefaultSlowStart is the default of InstanceTable.SlowStart.
const DefaultSlowStart = 10 * time.Second

// InstanceTable keeps the load and health of instances across catalog updates.
// The zero value is not ready for use; see NewInstanceTable. Safe for
// concurrent use.
type InstanceTable struct {
	// SlowStart is how long the share of an instance grows, from a tenth to all,
	// when it is new beside others that are ready, passes its checks again, or
	// returns from its ejection. Negative: not at all. Set it before use.
	SlowStart time.Duration

	mu       sync.Mutex // guards services and the instances of each
	services map[string]*serviceHealth
}

// serviceHealth is what the instances of one service have in common.
type serviceHealth struct {
	epoch     time.Time // what times are counted from; never changes
	slowStart time.Duration
	instances map[instanceKey]*Instance

	mu    sync.Mutex // guards ready, and strikes and ejections of its members
	ready []*health
}

type instanceKey struct{ id, address string }

// NewInstanceTable returns an empty table.
func NewInstanceTable() *InstanceTable {
	return &InstanceTable{SlowStart: DefaultSlowStart, services: make(map[string]*serviceHealth)}
}

// Resolve replaces what is known of a service by specs and returns its
// instances in that order. The same ID and address keep their load and health,
// and the very *Instance when nothing else changed either. What specs does not
// name is forgotten; no specs forget the service. An instance that is new, or was
// critical and is ready again, starts slowly (see SlowStart), unless no other was
// ready: then there is nobody to spare it.
func (t *InstanceTable) Resolve(service string, specs []InstanceSpec, now time.Time) []*Instance {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(specs) == 0 {
		delete(t.services, service)
		return nil
	}
	s := t.services[service]
	if s == nil {
		s = &serviceHealth{epoch: now, slowStart: t.SlowStart}
		t.services[service] = s
	}
	all := make([]*Instance, len(specs))
	next := make(map[instanceKey]*Instance, len(specs))
	for n := range specs {
		all[n] = s.resolve(service, &specs[n], now)
		next[instanceKey{specs[n].ID, specs[n].Address}] = all[n]
	}
	s.instances = next
	s.setReady(next)
	return all
}

func (s *serviceHealth) resolve(service string, spec *InstanceSpec, now time.Time) *Instance {
	known := s.instances[instanceKey{spec.ID, spec.Address}]
	switch {
	case known == nil:
		i := &Instance{InstanceSpec: *spec, Service: service, health: &health{service: s}}
		if spec.Status == InstanceReady && s.hasReady() {
			s.recovered(i.health, now)
		}
		return i
	case known.equal(spec):
		return known
	}
	if known.Status == InstanceCritical && spec.Status == InstanceReady && s.hasReady() {
		s.recovered(known.health, now)
	}
	return &Instance{InstanceSpec: *spec, Service: service, health: known.health}
}

// hasReady says whether the catalog's last word named a ready instance.
func (s *serviceHealth) hasReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) > 0
}

func (s *serviceHealth) setReady(instances map[instanceKey]*Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = s.ready[:0]
	for _, i := range instances {
		if i.Status == InstanceReady {
			s.ready = append(s.ready, i.health)
		}
	}
}

func (s *serviceHealth) since(now time.Time) int64 { return int64(now.Sub(s.epoch)) }

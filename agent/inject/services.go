package inject

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// ServiceFault is what becomes of a request to a service here.
type ServiceFault struct {
	ID     string
	Delay  time.Duration // before the answer
	Status int           // answered instead of the service; 0: the service answers
}

// services are the faults of services in this region.
type services struct {
	mu  sync.Mutex // held while now changes
	now atomic.Pointer[[]spoilt]
}

// spoilt is a fault, and what it is about.
type spoilt struct {
	ServiceFault
	service        string
	class          *policy.Class // nil: every one
	share, devices float64
	unready        bool // instances fail their checks
}

func newSpoilt(f *admin.Fault) spoilt {
	s := spoilt{ServiceFault: ServiceFault{f.ID, f.Span(), f.Status}, service: f.Service, share: f.ShareOf(), devices: f.DevicesOf()}
	if class, err := policy.ParseClass(f.Class); err == nil {
		s.class = &class
	}
	if f.Kind == admin.FaultInstanceFailure {
		s.Status, s.unready = http.StatusInternalServerError, true
	}
	return s
}

func (s *services) add(f *admin.Fault) End {
	s.change(func(all []spoilt) []spoilt { return append(all, newSpoilt(f)) })
	id := f.ID
	return ended(func() {
		s.change(func(all []spoilt) []spoilt {
			return slices.DeleteFunc(all, func(one spoilt) bool { return one.ID == id })
		})
	})
}

func (s *services) change(do func([]spoilt) []spoilt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []spoilt
	if old := s.now.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = do(all); len(all) == 0 {
		s.now.Store(nil)
		return
	}
	s.now.Store(&all)
}

// Spoils returns what becomes of a request of a device ("" is nobody's) to a
// service; nil: nothing. Of several faults the oldest that meets it counts.
func (c *Conditions) Spoils(service string, class policy.Class, device string) *ServiceFault {
	all := c.services.now.Load()
	if all == nil {
		return nil
	}
	for i := range *all {
		if s := &(*all)[i]; s.meets(service, class, device) {
			return &s.ServiceFault
		}
	}
	return nil
}

func (s *spoilt) meets(service string, class policy.Class, device string) bool {
	return s.service == service && (s.class == nil || *s.class == class) && Among(device, s.devices) && (s.share >= 1 || rand.Float64() < s.share)
}

// Among says whether a device is one of a share of all, 0 to 1: always the same
// ones, at every agent.
func Among(device string, share float64) bool {
	if share >= 1 {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(device))
	sum := h.Sum64() // whose high bits short names do not reach; MurmurHash3's finalizer does
	sum = (sum ^ sum>>33) * 0xff51afd7ed558ccd
	return float64((sum^sum>>33)>>11)/(1<<53) < share
}

// Unready says that the instances of a service here pass for failing their checks.
func (c *Conditions) Unready(service string) bool {
	all := c.services.now.Load()
	return all != nil && slices.ContainsFunc(*all, func(s spoilt) bool { return s.unready && s.service == service })
}

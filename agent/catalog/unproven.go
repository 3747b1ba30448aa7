package catalog

import (
	"time"

	"github.com/hashicorp/consul/api"
)

// A Consul agent that was restarted holds every check it has for critical until
// it has run once: Consul's way to keep the sick away from clients, by which one
// restart takes all instances of a region away, for as long as their checks'
// interval. Such a check has said nothing, so an instance that was ready stays
// so, for doubtFor after Consul is back at most: a check that runs and fails then
// changes nothing but its output, which Consul tells minutes later, or never where
// it is to discard it. Until then what fails is ejected by who calls it.
const doubtFor = 30 * time.Second

// unproven says that an instance is critical for checks that have not run yet,
// and for no other reason. Maintenance is one.
func unproven(checks api.HealthChecks) bool {
	if checks.AggregatedStatus() != api.HealthCritical {
		return false
	}
	for _, c := range checks {
		if c.Status == api.HealthCritical && c.Output != "" {
			return false
		}
	}
	return true
}

// benefit gives an instance the benefit of the doubt.
func (r *record) benefit(i Instance, now time.Time) Instance {
	delete(r.doubted, i.ID)
	old, known := r.instances[i.ID]
	if i.unproven && known && old.Status == Ready && now.Sub(r.back) < doubtFor {
		r.doubted[i.ID] = true
		i.Status = Ready
	}
	return i
}

// believe takes the doubted for critical when their time is over.
func (r *record) believe(now time.Time) bool {
	if len(r.doubted) == 0 || now.Sub(r.back) < doubtFor {
		return false
	}
	for id := range r.doubted {
		i := r.instances[id]
		i.Status = Critical
		r.instances[id] = i
	}
	clear(r.doubted)
	return true
}

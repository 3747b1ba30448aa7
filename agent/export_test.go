package agent

import (
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidegate/tidegate/policy"
)

// RetrySeries counts the series of retries: 0 when there never was one. For
// tests of whole meshes.
func (a *Agent) RetrySeries() int { return testutil.CollectAndCount(a.metrics.retries) }

// LocalAdmission is for tests of whole meshes.
func (a *Agent) LocalAdmission(target string) *policy.Admission { return a.admissions.local(target) }

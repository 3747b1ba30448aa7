package agent

import "github.com/tidegate/tidegate/policy"

// LocalAdmission is for tests of whole meshes.
func (a *Agent) LocalAdmission(target string) *policy.Admission { return a.admissions.local(target) }

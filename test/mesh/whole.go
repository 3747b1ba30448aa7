package mesh

import (
	"fmt"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

// missing says what keeps an agent from seeing the whole mesh; "" when nothing
// does.
func (m *Mesh) missing(a *Agent) string {
	for _, look := range []func(*Agent) (string, error){m.missingRegion, m.missingMember, m.missingService} {
		missing, err := look(a)
		if err != nil {
			return err.Error()
		}
		if missing != "" {
			return missing
		}
	}
	return ""
}

func (r *Region) running() int {
	n := 0
	for _, a := range r.Agents {
		if a.Running() {
			n++
		}
	}
	return n
}

func (m *Mesh) missingRegion(a *Agent) (string, error) {
	var ans admin.RegionsAnswer
	if err := a.Get(admin.PathRegions, &ans); err != nil {
		return "", err
	}
	seen := map[string]admin.Region{}
	for _, r := range ans.Regions {
		seen[r.Name] = r
	}
	for _, r := range m.Regions {
		got := seen[r.Name]
		switch {
		case r.running() == 0:
		case got.State != policy.RegionAlive.String():
			return fmt.Sprintf("region %s is %q", r.Name, got.State), nil
		case got.Agents != r.running():
			return fmt.Sprintf("region %s has %d of %d agents", r.Name, got.Agents, r.running()), nil
		case got.PolicyVersion == "":
			return "region " + r.Name + " has no policy", nil
		}
	}
	return "", nil
}

func (m *Mesh) missingMember(a *Agent) (string, error) {
	var ans admin.MembersAnswer
	if err := a.Get(admin.PathMembers, &ans); err != nil {
		return "", err
	}
	seen := map[string]admin.Member{}
	for _, member := range ans.Members {
		seen[member.Name] = member
	}
	for _, other := range m.Agents() {
		member, found := seen[other.Name]
		switch {
		case !other.Running():
		case !found:
			return "agent " + other.Name + " is not known", nil
		case member.EdgeAddr != other.EdgeAddr():
			return fmt.Sprintf("agent %s is thought to be at %s, it is at %s", other.Name, member.EdgeAddr, other.EdgeAddr()), nil
		case member.State != "alive" || member.Draining:
			return fmt.Sprintf("agent %s is %s, draining %t", other.Name, member.State, member.Draining), nil
		case other.Region != a.Region && member.Tunnel == "":
			return "no tunnel to " + other.Name, nil
		}
	}
	return "", nil
}

func (m *Mesh) missingService(a *Agent) (string, error) {
	var ans admin.ServicesAnswer
	if err := a.Get(admin.PathServices, &ans); err != nil {
		return "", err
	}
	if ans.Catalog.Stale {
		return "catalog is stale: " + ans.Catalog.Error, nil
	}
	seen := readyIn(ans, a.Region.Name)
	for key, want := range m.healthy() {
		if got := seen[key]; got != want {
			return fmt.Sprintf("sees %d of %d ready instances of %s in %s", got, want, key.service, key.region), nil
		}
	}
	return "", nil
}

type serviceRegion struct{ service, region string }

func readyIn(ans admin.ServicesAnswer, local string) map[serviceRegion]int {
	seen := map[serviceRegion]int{}
	for _, s := range ans.Services {
		seen[serviceRegion{s.Name, local}] = s.Ready
		for _, r := range s.Regions {
			seen[serviceRegion{s.Name, r.Region}] = r.Ready
		}
	}
	return seen
}

// healthy counts the instances that Consul should pass; regions without a
// running agent are not seen by anybody.
func (m *Mesh) healthy() map[serviceRegion]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[serviceRegion]int{}
	for _, i := range m.instances {
		if i.region.running() == 0 {
			continue
		}
		key := serviceRegion{i.spec.Service, i.region.Name}
		n := count[key]
		if i.passing() {
			n++
		}
		count[key] = n
	}
	return count
}

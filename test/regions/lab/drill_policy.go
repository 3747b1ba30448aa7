//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/test/overload/judge"
)

func (x *exercise) badPolicy() error {
	old, err := x.policyOf(x.agents()[0])
	if err != nil {
		return err
	}
	bad := bytes.ReplaceAll(samplePolicy, []byte(`service = "alarms"`), []byte(`service = "alarm"`))
	from := x.mark("tidegate policy apply, of a bad one")
	refused := x.apply(bad) != nil
	x.mark("the bad one is written into Consul behind the agents' backs")
	if err := x.writePolicy(bad); err != nil {
		return err
	}
	if err := x.pause(x.long(15*time.Second, 5*time.Second)); err != nil {
		return err
	}
	kept, said, err := x.refusing(old.Version)
	if err != nil {
		return err
	}
	better := bytes.ReplaceAll(samplePolicy, []byte(`= "5s"`), []byte(`= "6s"`))
	good := x.mark("tidegate policy apply, of a good one")
	if err := x.apply(better); err != nil {
		return err
	}
	took, err := x.everywhere(old.Version, good)
	if err != nil {
		return err
	}
	if err := x.pause(x.long(10*time.Second, 5*time.Second)); err != nil {
		return err
	}
	if err := x.settle(good); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.bar(judge.AtLeast("tidegate policy apply refuses a bad policy", oneIf(refused), "times", 1), from, good)
	x.bar(judge.AtLeast("agents that keep the old policy", float64(kept), "agents", float64(len(x.agents()))), from, good)
	x.bar(judge.AtLeast("agents that say what is wrong with the new one", float64(said), "agents", float64(len(x.agents()))), from, good)
	x.bar(judge.AtMost("the good one is in force at every agent", took.Seconds(), "s", 5), good, until)
	x.success("all succeeded", x.pick(from, until, at(regionNames...)), 5*time.Second, 100, from, until)
	x.keptAll(from, until)
	x.steadyPlans(x.agents())
	return x.applyPolicy(x.ctx)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// apply has the command of an operator put a policy in force.
func (x *exercise) apply(policy []byte) error {
	file := filepath.Join(x.dir, "drill-policy.hcl")
	if err := os.WriteFile(file, policy, 0o600); err != nil {
		return err
	}
	return x.command(x.ctx, "policy", "apply", "--admin", x.agents()[0].adminAddr(), file)
}

// writePolicy does it with nobody looking at what is in it.
func (x *exercise) writePolicy(policy []byte) error {
	for _, r := range x.regions {
		if err := r.writePolicy(x.ctx, policy); err != nil {
			return err
		}
	}
	return nil
}

func (r *region) writePolicy(ctx context.Context, policy []byte) error {
	client, err := r.consulClient()
	if err != nil {
		return err
	}
	_, err = client.KV().Put(&api.KVPair{Key: "tidegate/policy", Value: policy}, new(api.WriteOptions).WithContext(ctx))
	return err
}

func (x *exercise) policyOf(a *agent) (p admin.PolicyAnswer, err error) {
	return p, a.get(x.ctx, admin.PathPolicy, &p)
}

// refusing counts the agents that go by a version, and those that tell why they
// do not go by a newer one.
func (x *exercise) refusing(version string) (kept, said int, err error) {
	for _, a := range x.agents() {
		p, err := x.policyOf(a)
		if err != nil {
			return 0, 0, err
		}
		if p.Version == version {
			kept++
		}
		if p.Refused != nil && len(p.Refused.Diagnostics) > 0 {
			said++
		}
	}
	return kept, said, nil
}

// everywhere waits until no agent goes by the old version, nor refuses one.
func (x *exercise) everywhere(old string, since time.Time) (took time.Duration, err error) {
	err = await(x.ctx, 30*time.Second, func() error {
		for _, a := range x.agents() {
			p, err := x.policyOf(a)
			if err != nil {
				return err
			}
			if p.Version == old || p.Refused != nil {
				return fmt.Errorf("agent %s goes by policy %s, not by the new one", a.name, p.Version)
			}
		}
		return nil
	})
	return time.Since(since), err
}

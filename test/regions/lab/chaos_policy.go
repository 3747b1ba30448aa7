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
	"github.com/tidegate/tidegate/test/chaos/schedule"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// policyTaken is how long a policy may take to every agent.
const policyTaken = 10 * time.Second

// spoilPolicy writes what does not compile into a datacenter's store, as somebody
// does who goes around the command.
func (c *chaos) spoilPolicy(ctx context.Context, p *played) error {
	client, err := c.region(p.On[0]).consulClient()
	if err != nil {
		return err
	}
	put := func(ctx context.Context, value []byte) error {
		return await(ctx, 30*time.Second, func() error {
			_, err := client.KV().Put(&api.KVPair{Key: "tidegate/policy", Value: value}, new(api.WriteOptions).WithContext(ctx))
			return err
		})
	}
	p.undo = func(ctx context.Context) error {
		p.missed = c.othersThan(ctx, samplePolicy, c.region(p.On[0]).agents)
		return put(ctx, samplePolicy)
	}
	return put(ctx, append(bytes.Clone(samplePolicy), "\nroute \"broken\" {\n  class = \"no such class\"\n}\n"...))
}

// changePolicy applies another policy, and at the end the one before.
func (c *chaos) changePolicy(ctx context.Context, p *played) error {
	p.undo = func(ctx context.Context) error {
		var unharmed []*agent
		for _, a := range c.agents() {
			if !c.harmed(a, p.from, time.Now(), policyTaken) {
				unharmed = append(unharmed, a)
			}
		}
		wait := p.from.Add(policyTaken)
		for p.missed = unharmed; len(p.missed) > 0 && time.Now().Before(wait); {
			p.missed = c.othersThan(ctx, otherPolicy(), p.missed)
		}
		return c.apply(ctx, samplePolicy)
	}
	return c.apply(ctx, otherPolicy())
}

// otherPolicy says the same in other words.
func otherPolicy() []byte {
	return bytes.ReplaceAll(samplePolicy, []byte(`"5s"`), []byte(`"5000ms"`))
}

// apply writes a policy into every datacenter, as an operator does.
func (c *chaos) apply(ctx context.Context, text []byte) error {
	file := filepath.Join(c.dir, "chaos.hcl")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error {
		return c.command(ctx, "policy", "apply", "--admin", c.anyAgent().adminAddr(), file)
	})
}

// anyAgent that nothing harms now.
func (c *chaos) anyAgent() *agent {
	now := time.Now()
	for _, a := range c.agents() {
		if !c.harmed(a, now, now, 0) {
			return a
		}
	}
	return c.agents()[0]
}

// othersThan are those of some agents that answer and have another policy in force.
func (c *chaos) othersThan(ctx context.Context, text []byte, some []*agent) (others []*agent) {
	now := time.Now()
	for _, a := range some {
		var ans admin.PolicyAnswer
		if c.harmed(a, now, now, 0) || a.get(ctx, admin.PathPolicy, &ans) != nil {
			continue
		}
		if len(ans.Files) != 1 || ans.Files[0].Source != string(text) {
			others = append(others, a)
		}
	}
	return others
}

// policies judges that a good policy reached every agent that nothing harmed, and
// a bad one none.
func (v *ruling) policies() {
	for _, p := range v.events {
		switch p.Fault {
		case schedule.BadPolicy:
			v.bar(judge.AtMost("took a bad policy", float64(len(p.missed)), "agents", 0), p.from, p.until)
		case schedule.NewPolicy:
			v.bar(judge.AtMost(fmt.Sprintf("without a new policy after %s", policyTaken), float64(len(p.missed)), "agents", 0), p.from, p.until)
		}
	}
}

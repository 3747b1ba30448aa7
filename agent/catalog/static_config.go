package catalog

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// StaticConfig is the block `static` of the agent's configuration:
//
//	static {
//	  service "alarms" {
//	    instance {
//	      address = "127.0.0.1:9001"
//	      tags    = ["canary"]
//	    }
//	    check {
//	      path     = "/health"
//	      interval = "5s"
//	    }
//	  }
//	}
type StaticConfig struct {
	Services []StaticService `hcl:"service,block"`
}

// StaticService is one service and its instances.
type StaticService struct {
	Name      string           `hcl:"name,label"`
	Instances []StaticInstance `hcl:"instance,block"`
	Check     *StaticCheck     `hcl:"check,block"` // nil: every instance is always ready
}

// StaticInstance is one address of a service.
type StaticInstance struct {
	ID      string            `hcl:"id,optional"` // unique in the service; default: the address
	Address string            `hcl:"address"`     // "host:port"
	Tags    []string          `hcl:"tags,optional"`
	Meta    map[string]string `hcl:"meta,optional"`
}

// StaticCheck is the HTTP health check of each instance of a service: GET path,
// 2xx within the timeout passes, anything else (redirects too) fails. The first
// answer decides at once; after it the thresholds count.
type StaticCheck struct {
	Path      string `hcl:"path"`               // begins with "/"; may have a query
	Interval  string `hcl:"interval,optional"`  // default 5s, 10ms to 1h, jittered by a tenth
	Timeout   string `hcl:"timeout,optional"`   // default 1s, 1ms to 1m
	Healthy   int    `hcl:"healthy,optional"`   // passes in a row until ready; default 2
	Unhealthy int    `hcl:"unhealthy,optional"` // failures in a row until critical; default 3
}

// checkPlan is a checked StaticCheck; the zero plan checks nothing.
type checkPlan struct {
	path               string
	interval, timeout  time.Duration
	healthy, unhealthy int
}

// staticService is a checked StaticService.
type staticService struct {
	instances []Instance // sorted by ID
	plan      checkPlan
}

// Validate says what is wrong with cfg; every fault is of kind policy.ErrInvalid.
func (cfg StaticConfig) Validate() error {
	_, err := cfg.services()
	return err
}

func (cfg StaticConfig) services() (map[string]staticService, error) {
	out := make(map[string]staticService, len(cfg.Services))
	for _, s := range cfg.Services {
		if s.Name == "" {
			return nil, fmt.Errorf("%w: catalog static: a service has no name", policy.ErrInvalid)
		}
		if _, twice := out[s.Name]; twice {
			return nil, fmt.Errorf("%w: catalog static: service %q is there twice", policy.ErrInvalid, s.Name)
		}
		checked, err := s.checked()
		if err != nil {
			return nil, err
		}
		out[s.Name] = checked
	}
	return out, nil
}

func (s StaticService) checked() (out staticService, err error) {
	if out.plan, err = s.Check.plan(s.Name); err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for _, i := range s.Instances {
		if _, _, err := splitHostPort(fmt.Sprintf("catalog static: service %q: instance address", s.Name), i.Address); err != nil {
			return out, err
		}
		id := i.ID
		if id == "" {
			id = i.Address
		}
		if seen[id] {
			return out, fmt.Errorf("%w: catalog static: service %q: instance %q is there twice", policy.ErrInvalid, s.Name, id)
		}
		seen[id] = true
		out.instances = append(out.instances, Instance{ID: id, Service: s.Name, Address: i.Address, Tags: i.Tags, Meta: i.Meta})
	}
	return out, nil
}

func (c *StaticCheck) plan(service string) (p checkPlan, err error) {
	if c == nil {
		return p, nil
	}
	what := fmt.Sprintf("catalog static: service %q: check ", service)
	if _, err := url.ParseRequestURI(c.Path); err != nil || !strings.HasPrefix(c.Path, "/") {
		return p, fmt.Errorf("%w: %spath %q: must begin with / and be fit for a URL", policy.ErrInvalid, what, c.Path)
	}
	p.path = c.Path
	if p.interval, err = duration(what+"interval", c.Interval, 5*time.Second, 10*time.Millisecond, time.Hour); err != nil {
		return p, err
	}
	if p.timeout, err = duration(what+"timeout", c.Timeout, time.Second, time.Millisecond, time.Minute); err != nil {
		return p, err
	}
	if p.healthy, err = threshold(what+"healthy", c.Healthy, 2); err != nil {
		return p, err
	}
	p.unhealthy, err = threshold(what+"unhealthy", c.Unhealthy, 3)
	return p, err
}

func threshold(what string, n, def int) (int, error) {
	switch {
	case n == 0:
		return def, nil
	case n < 0 || n > 100:
		return 0, fmt.Errorf("%w: %s %d: must be from 1 to 100", policy.ErrInvalid, what, n)
	}
	return n, nil
}

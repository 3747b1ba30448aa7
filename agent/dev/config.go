package dev

import (
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/policy"
)

//go:embed policy.hcl
var defaultPolicy []byte

// Config describes a mesh. The zero value of a field means its default.
type Config struct {
	Regions  int           // default 3, at most 9
	Agents   int           // a region; default 2, at most 8
	Bind     string        // IP address of this machine; default 127.0.0.1
	Policy   []byte        // default: the one of `tidegate dev`
	Latency  time.Duration // of the sample services; default 5 ms
	Capacity int           // of an instance, requests at a time; default 64; more wait in a queue
	Services []Service     // default: alarms and telemetry everywhere, firmware in the first region
	Token    string        // by which any client is a device: 16 to 256 letters, digits and -._~+/=; default: a random one
	Version  string
	Logger   *slog.Logger // default: discard
}

// Service is a sample service. The last of its instances in a region carries
// the tag "canary", the others "stable".
type Service struct {
	Name      string
	Regions   []string // where it lives; empty: everywhere
	Instances int      // a region; default 2
	Capacity  int      // of an instance, requests at a time; default that of the mesh

	// Handler answers instead of the sample, when set; it is still named and
	// failed by the instance.
	Handler http.Handler
}

func defaultServices() []Service {
	return []Service{{Name: "alarms"}, {Name: "telemetry"}, {Name: "firmware", Regions: names[:1]}}
}

// names of the regions, near ones first; the part before the dash is the group.
var names = []string{"eu-1", "eu-2", "us-1", "us-2", "ap-1", "ap-2", "sa-1", "af-1", "me-1"}

const (
	maxAgents    = 8 // a region
	maxServices  = 32
	maxInstances = 16 // of a service in a region
	maxCapacity  = 100000
)

var deviceToken = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]{16,256}$`)

var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

// ErrConfig is the kind of errors about a mesh that makes no sense.
var ErrConfig = fmt.Errorf("dev mesh: %w", policy.ErrInvalid)

// Check says whether a mesh like that can be started, but for its address.
// Errors are of kind ErrConfig.
func (c Config) Check() error { return c.complete() }

func (c *Config) complete() error {
	if c.Regions == 0 {
		c.Regions = 3
	}
	if c.Agents == 0 {
		c.Agents = 2
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1"
	}
	if c.Policy == nil {
		c.Policy = defaultPolicy
	}
	if c.Latency == 0 {
		c.Latency = 5 * time.Millisecond
	}
	if c.Capacity == 0 {
		c.Capacity = 64
	}
	if c.Services == nil {
		c.Services = defaultServices()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Regions < 1 || c.Regions > len(names):
		return fmt.Errorf("%w: %d regions: use 1 to %d", ErrConfig, c.Regions, len(names))
	case c.Agents < 1 || c.Agents > maxAgents:
		return fmt.Errorf("%w: %d agents a region: use 1 to %d", ErrConfig, c.Agents, maxAgents)
	case c.Latency < 0 || c.Latency > time.Minute:
		return fmt.Errorf("%w: latency %s: use 0s to 1m", ErrConfig, c.Latency)
	case c.Capacity < 1 || c.Capacity > maxCapacity:
		return fmt.Errorf("%w: capacity %d: use 1 to %d", ErrConfig, c.Capacity, maxCapacity)
	case c.Token != "" && !deviceToken.MatchString(c.Token):
		return fmt.Errorf("%w: token: use 16 to 256 letters, digits and -._~+/=", ErrConfig)
	case len(c.Services) > maxServices:
		return fmt.Errorf("%w: %d services: use at most %d", ErrConfig, len(c.Services), maxServices)
	}
	for _, s := range c.Services {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) check() error {
	if !serviceName.MatchString(s.Name) {
		return fmt.Errorf("%w: service %q: use letters, digits and dashes", ErrConfig, s.Name)
	}
	if s.Instances < 0 || s.Instances > maxInstances {
		return fmt.Errorf("%w: service %s: %d instances a region: use 1 to %d", ErrConfig, s.Name, s.Instances, maxInstances)
	}
	if s.Capacity < 0 || s.Capacity > maxCapacity {
		return fmt.Errorf("%w: service %s: capacity %d: use 1 to %d", ErrConfig, s.Name, s.Capacity, maxCapacity)
	}
	for _, region := range s.Regions {
		if !slices.Contains(names, region) {
			return fmt.Errorf("%w: service %s: no region %q: use some of %s", ErrConfig, s.Name, region, strings.Join(names, ", "))
		}
	}
	return nil
}

// checkBind wants one address of this machine: agents tell each other where
// they are, and faults tell them apart by it.
func checkBind(bind string) error {
	ip, err := netip.ParseAddr(bind)
	switch {
	case err != nil || ip.Zone() != "" || ip.IsMulticast():
		return fmt.Errorf("%w: bind %q is not an IP address of this machine", ErrConfig, bind)
	case ip.IsUnspecified():
		return fmt.Errorf("%w: bind %s stands for every address: name one, on which agents and devices reach each other", ErrConfig, bind)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bind, "0"))
	if err != nil {
		return fmt.Errorf("%w: bind %s: %w: name an address of this machine", ErrConfig, bind, err)
	}
	return l.Close()
}

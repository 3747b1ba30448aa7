//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// sample is a service and where it lives.
type sample struct {
	name    string
	port    uint16
	regions []string // nil: everywhere
}

// eu-1 has no stock: its edges send to eu-2, the nearest region that has.
var sampleServices = []sample{{"alarms", 9001, nil}, {"telemetry", 9002, nil}, {"stock", 9003, []string{"eu-2", "us-1"}}}

const instancesEach = 2

func (s *sample) in(region string) bool {
	return s.regions == nil || slices.Contains(s.regions, region)
}

// instance is one address of a service in a region.
type instance struct {
	id, service string
	addr        netip.AddrPort
}

func (r *region) instances() (all []instance) {
	for _, s := range sampleServices {
		for n := range instancesEach {
			if s.in(r.name) {
				all = append(all, instance{fmt.Sprintf("%s-%d", s.name, n+1), s.name, netip.AddrPortFrom(r.net.Addr(firstService+n), s.port)})
			}
		}
	}
	return all
}

// startServices runs the region's instances in one process and registers them.
func (r *region) startServices(ctx context.Context) error {
	if err := r.launchServices(); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error { return r.register(ctx) })
}

func (r *region) launchServices() (err error) {
	_ = os.Remove(r.path(paceSocket)) // killed services leave it
	args := []string{roleServices, r.name, r.path(paceSocket), r.path(journalName)}
	for _, i := range r.instances() {
		args = append(args, i.id+"="+i.addr.String())
	}
	r.services, err = r.net.Start(exec.Command("/proc/self/exe", args...), r.mesh.log(r.name+"-services"))
	return err
}

func (r *region) register(ctx context.Context) error { return r.registerWith(ctx, nil) }

func (r *region) registerWith(ctx context.Context, meta map[string]string) error {
	client, err := r.consulClient()
	if err != nil {
		return err
	}
	for _, i := range r.instances() {
		err := client.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
			ID: i.id, Name: i.service, Address: i.addr.Addr().String(), Port: int(i.addr.Port()), Meta: meta,
			Check: &api.AgentServiceCheck{HTTP: "http://" + i.addr.String() + "/health", Interval: "1s", Timeout: "500ms", Status: api.HealthPassing},
		}, api.ServiceRegisterOpts{}.WithContext(ctx))
		if err != nil {
			return fmt.Errorf("register %s in %s: %w", i.id, r.name, err)
		}
	}
	return nil
}

// Roles that this program plays as another process, by its first argument.
const (
	roleServices = "serve-samples"
	roleDevices  = "send-as-devices"
	roleFleet    = "march-as-fleet"
	roleStorm    = "storm-as-devices"
	roleDisk     = "run-on-small-disk"
)

func runRole(role string, args []string) bool {
	var err error
	switch role {
	case roleServices:
		err = serve(args[0], args[1], args[2], args[3:])
	case roleWitness:
		err = bearWitness()
	case roleDevices:
		err = sendAsDevices()
	case roleFleet:
		err = marchAsFleet()
	case roleStorm:
		err = stormAsDevices()
	case roleDisk:
		err = runOnSmallDisk(args[0], args[1:])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// serve answers for instances, "id=address" each, until it is killed. How fast
// they do is set over a unix socket; what is numbered is in a journal before it is
// answered.
func serve(region, control, journal string, instances []string) error {
	book, err := openJournal(journal)
	if err != nil {
		return err
	}
	all := &shop{region: region, journal: book}
	ended := make(chan error, len(instances)+1)
	for _, text := range instances {
		id, addr, _ := strings.Cut(text, "=")
		c := &clerk{shop: all, id: id}
		all.clerks = append(all.clerks, c)
		server := &http.Server{Addr: addr, Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second}
		go func() { ended <- server.ListenAndServe() }()
	}
	go func() { ended <- all.serveControl(control) }()
	return <-ended
}

package dev

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// RunConfig is `tidegate dev`.
type RunConfig struct {
	Mesh    Config
	Devices int           // default 30; 0 with Rate 0: none
	Rate    float64       // requests a second, all devices together; default 60
	For     time.Duration // 0: until the context ends
	Out     io.Writer
}

// startLimit bounds how long the mesh may take to come up.
const startLimit = 20 * time.Second

// Run is the life of `tidegate dev`: start, say what to try, load and a line a
// second, until the context ends or the time is over.
func Run(ctx context.Context, cfg RunConfig) error {
	began := time.Now()
	soon, cancel := context.WithTimeout(ctx, startLimit)
	m, err := Start(soon, cfg.Mesh)
	cancel()
	switch {
	case ctx.Err() != nil && err != nil:
		return nil // stopped before it was up
	case err != nil:
		return err
	}
	defer m.Close()
	fmt.Fprintf(cfg.Out, "%d regions x %d agents ready in %.1f s\n\n", len(m.Regions), m.cfg.Agents, time.Since(began).Seconds())
	m.describe(cfg.Out)
	if cfg.For > 0 {
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	return m.live(ctx, cfg)
}

// describe prints where everything is and a line to paste for each thing to
// try.
func (m *Mesh) describe(w io.Writer) {
	for _, r := range m.Regions {
		fmt.Fprintf(w, "region %s (group %s)\n", r.Name, r.Group)
		for _, a := range r.Agents {
			fmt.Fprintf(w, "  %-14s devices %-21s admin http://%s\n", a.Name, a.EdgeAddr(), a.AdminAddr())
		}
	}
	first, last := m.Regions[0].Agents[0], m.Regions[len(m.Regions)-1].Agents[0]
	edge, far := "https://"+first.EdgeAddr(), "https://"+last.EdgeAddr()
	host, port, _ := net.SplitHostPort(first.EdgeAddr())
	admin := "--admin http://" + first.AdminAddr() + " --token " + m.token
	fmt.Fprintf(w, "\nTry (paste a line into another terminal):\n"+
		"  an alarm, class critical      curl --cacert %[1]s -d '{\"celsius\":93}' %[2]s/v1/devices/d1/alarms\n"+
		"  decided by the payload        curl --cacert %[1]s -H 'Content-Type: application/json' -d '{\"celsius\":93}' %[2]s/v1/devices/d1/telemetry\n"+
		"  served by another region      curl --cacert %[1]s %[3]s/v1/firmware/latest.bin\n"+
		"  a fixed answer                curl --cacert %[1]s %[2]s/hello\n"+
		"  as device d1, by its token    curl --cacert %[1]s -u d1:%[13]s -d '{\"celsius\":20}' %[2]s/v1/devices/d1/telemetry\n"+
		"  a device that speaks MQTT     mosquitto_pub --cafile %[1]s -h %[11]s -p %[12]s -u d1 -P %[13]s -q 1 -t v1/devices/d1/alarms -m '{\"celsius\":93}'\n"+
		"  a device takes commands       mosquitto_sub --cafile %[1]s -h %[11]s -p %[12]s -u d1 -P %[13]s -q 1 -t 'commands/d1/#'\n"+
		"  a service commands it         curl -H 'Proxy-Authorization: Bearer %[4]s' -d reboot http://%[5]s/devices/d1/messages/commands/d1/now\n"+
		"  a service calls a service     curl -H 'Host: firmware.mesh' -H 'Proxy-Authorization: Bearer %[4]s' http://%[5]s/latest.bin\n"+
		"  why does a message go there   tidegate explain POST /v1/devices/d1/alarms %[6]s\n"+
		"  what the mesh knows           tidegate regions %[6]s\n"+
		"  who is there                  tidegate members %[6]s\n"+
		"  cut a region off for 10 s     tidegate fault add region_outage region=%[7]s --for 10s %[6]s\n"+
		"  one region overloaded         tidegate bench --edge %[9]s --ca %[1]s --rate 1200 --mix critical=20,normal=40,bulk=40\n"+
		"  half of a region's capacity   tidegate fault add capacity region=%[7]s share=50%% over=10s --for 30s %[6]s\n"+
		"  an operator's word            tidegate region evacuate %[7]s --for 30s --reason rehearsal %[6]s\n"+
		"  limits, queues, spill         tidegate services %[6]s\n"+
		"  numbers                       curl -H 'Authorization: Bearer %[4]s' http://%[8]s/metrics\n"+
		"  change the policy, live       edit %[10]s\n\n",
		m.CAFile(), edge, far, m.token, last.EgressAddr(), admin, m.Regions[len(m.Regions)/2].Name, first.AdminAddr(), first.EdgeAddr(), m.PolicyFile(), host, port, m.deviceToken)
}

// Kinds is the mix of messages that simulated devices send.
func Kinds() []load.Kind {
	return []load.Kind{
		{Name: "alarm", Class: policy.Critical, Method: "POST", Path: "/v1/devices/{device}/alarms", Body: 120, Weight: 20},
		{Name: "firmware", Class: policy.High, Method: "GET", Path: "/v1/firmware/{device}.bin", Weight: 10},
		{Name: "telemetry", Class: policy.Normal, Method: "POST", Path: "/v1/devices/{device}/telemetry", Body: 200, Weight: 50},
		{Name: "logs", Class: policy.Bulk, Method: "POST", Path: "/v1/devices/{device}/logs", Body: 800, Weight: 20},
	}
}

// Edges lists one edge a living agent.
func (m *Mesh) Edges() []load.Edge {
	m.running.Lock()
	defer m.running.Unlock()
	var all []load.Edge
	for n := range m.cfg.Agents {
		for _, r := range m.Regions {
			if a := r.Agents[n]; a.Agent != nil {
				all = append(all, load.Edge{Region: r.Name, Agent: a.Name, Addr: a.EdgeAddr()})
			}
		}
	}
	return all
}

// TLS trusts the mesh's authority.
func (m *Mesh) TLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(m.authority.CertPEM())
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// Identity issues the certificate of the n-th simulated device.
func (m *Mesh) Identity(n int) (tls.Certificate, error) {
	return m.identity(n, fmt.Sprintf("tenant-%d", n%4))
}

func (m *Mesh) identity(n int, tenant string) (tls.Certificate, error) {
	issued, err := m.authority.IssueDevice(fmt.Sprintf("device-%d", n), map[string]string{"tenant": tenant}, validity)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(issued.CertPEM, issued.KeyPEM)
}

// Aim points a load at the mesh's edges; devices get certificates with their
// tenant as property, where the load has tenants.
func (m *Mesh) Aim(cfg *load.Config) {
	cfg.Edges, cfg.TLS, cfg.Identity = m.Edges(), m.TLS(), m.Identity
	if len(cfg.Tenants) > 0 {
		of := load.Config{Edges: cfg.Edges, Tenants: cfg.Tenants}
		cfg.Identity = func(n int) (tls.Certificate, error) { return m.identity(n, of.TenantOf(n)) }
	}
}

// PlanChanges says how often each living agent's plan for each service has
// changed since the agent started, by agent and service.
func (m *Mesh) PlanChanges() map[string]map[string]float64 {
	m.running.Lock()
	defer m.running.Unlock()
	counts := map[string]map[string]float64{}
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			if a.Agent != nil {
				counts[a.Name] = a.PlanChanges()
			}
		}
	}
	return counts
}

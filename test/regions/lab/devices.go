//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/test/child"
)

// kinds of messages. Stock in eu-1 is what needs another region.
var kinds = []load.Kind{
	{Name: "alarms", Class: policy.Critical, Method: "PUT", Path: "/devices/{device}/alarms", Body: 120, Weight: 20},
	{Name: "stock-urgent", Class: policy.Critical, Method: "PUT", Path: "/devices/{device}/stock/urgent", Body: 120, Weight: 15},
	{Name: "stock", Class: policy.Normal, Method: "PUT", Path: "/devices/{device}/stock", Body: 200, Weight: 35},
	{Name: "telemetry", Class: policy.Bulk, Method: "PUT", Path: "/devices/{device}/telemetry", Body: 400, Weight: 30},
}

// assignment is what the process that plays the devices is told on its input.
type assignment struct {
	Edges []load.Edge
	Rate  float64
	CA    string
	Dir   string // with the devices' certificates
}

// message is what became of one request.
type message struct {
	Due    time.Time
	Took   time.Duration
	Edge   string // region
	Agent  string
	Kind   string
	Status int // 0: no answer
	Served string
	Err    string
}

func (m *message) ok() bool { return m.Err == "" && m.Status >= 200 && m.Status < 300 }

func (m *message) critical() bool { return m.Kind == "alarms" || m.Kind == "stock-urgent" }

func (m *message) String() string {
	return fmt.Sprintf("due %s, %s at %s: status %d from %q after %s %s",
		m.Due.Format("15:04:05.000"), m.Kind, m.Agent, m.Status, m.Served, m.Took.Round(time.Millisecond), m.Err)
}

// sendAsDevices sends until SIGTERM, and prints every message's fate.
func sendAsDevices() error {
	var a assignment
	if err := json.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	pem, err := os.ReadFile(a.CA)
	if err != nil {
		return err
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	trust.RootCAs.AppendCertsFromPEM(pem)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tell := newTeller(os.Stdout)
	_, err = load.Run(ctx, load.Config{
		Edges: a.Edges, Kinds: kinds, Devices: deviceCount, Rate: a.Rate, TLS: trust, Timeout: 5 * time.Second, Observe: tell.one,
		Identity: func(n int) (tls.Certificate, error) {
			base := filepath.Join(a.Dir, fmt.Sprint(n))
			return tls.LoadX509KeyPair(base+".pem", base+".key")
		},
	})
	return err
}

// teller writes messages; it may be called concurrently.
type teller struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
}

func newTeller(w io.Writer) *teller { return &teller{out: json.NewEncoder(w)} }

func (t *teller) one(r load.Result) {
	m := message{Due: r.Due, Took: r.Latency, Edge: r.Edge, Agent: r.Agent, Kind: r.Kind.Name, Status: r.Status, Served: r.Region}
	if r.Err != nil {
		m.Err = r.Err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.out.Encode(m) // whoever listened is gone, and so is this process soon
}

// devices are the process, and what it tells.
type devices struct {
	proc    *child.Process
	readers sync.WaitGroup

	mu   sync.Mutex // guards sent
	sent []message
}

func (m *mesh) startDevices(context.Context) error {
	a := assignment{Rate: m.opt.rate, CA: filepath.Join(m.dir, "ca.pem"), Dir: m.deviceDir()}
	for _, g := range m.agents() {
		a.Edges = append(a.Edges, load.Edge{Region: g.region.name, Agent: g.name, Addr: g.edge()})
	}
	told, err := json.Marshal(a)
	if err != nil {
		return err
	}
	file := filepath.Join(m.dir, "devices.json")
	if err := os.WriteFile(file, told, 0o600); err != nil {
		return err
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", roleDevices)
	cmd.Stdin, cmd.Stdout = in, w
	d := &devices{}
	d.proc, err = m.wan.Region(field).Start(cmd, m.log("devices"))
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return err
	}
	d.readers.Go(func() { d.read(r) })
	m.devices = d
	return nil
}

func (d *devices) read(r *os.File) {
	defer r.Close()
	for in := json.NewDecoder(bufio.NewReader(r)); ; {
		var m message
		if in.Decode(&m) != nil {
			return // the process ended
		}
		d.mu.Lock()
		d.sent = append(d.sent, m)
		d.mu.Unlock()
	}
}

// between returns the answered messages that were due from a moment on, and
// before another.
func (d *devices) between(from, until time.Time) (some []message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.sent {
		if !m.Due.Before(from) && m.Due.Before(until) {
			some = append(some, m)
		}
	}
	return some
}

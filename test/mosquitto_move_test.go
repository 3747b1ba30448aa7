package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/mesh"
)

const (
	mosquittoKeepAlive = 5 * time.Second // the shortest it takes
	moveGrace          = 5 * time.Second
	busyMachine        = 5 * time.Second
)

// Promise: a client that knows a name and nothing else of the mesh is in another
// region within its keep-alive and 5 s when its own is lost and DNS says so. From
// silence alone mosquitto learns it in two keep-alives: after one it asks for a
// sign of life, after the other it gives up.
func TestMosquittoMovesWithDNS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts meshes, and waits for keep-alives")
	}
	for _, version := range mosquittoVersions {
		t.Run("when its agent ends, "+version, func(t *testing.T) {
			m := newMQTTMesh(t)
			m.mosquittoMoves(t, version, mosquittoKeepAlive+moveGrace, func() error { return m.Regions[0].Agents[0].Close() })
		})
	}
	t.Run("when its region is cut off", func(t *testing.T) {
		m := newMQTTMesh(t)
		m.mosquittoMoves(t, "mqttv311", 2*mosquittoKeepAlive+moveGrace+busyMachine, func() error { return m.Cut(m.Regions[0].Name) })
	})
}

func (m *mqttMesh) mosquittoMoves(t *testing.T, version string, within time.Duration, lose func() error) {
	d := newDomain(t, m)
	d.start(t, "mosquitto_sub", "-V", version, "-q", "1", "-t", "commands/d1/#")
	pub := &lines{box: m.box, to: d.start(t, "mosquitto_pub", "-V", version, "-q", "1", "-t", "devices/d1/lines", "-l")}
	m.commandReaches(t, "before", "delivered")
	if took := until(10*time.Second, pub.goThrough()); took == 0 {
		t.Fatal("mosquitto_pub publishes nothing")
	}
	if err := lose(); err != nil {
		t.Fatal(err)
	}
	d.resolve(t, 1)
	var both sync.WaitGroup
	for what, done := range map[string]func() bool{"publishes": pub.goThrough(), "gets commands": m.commandsArrive} {
		both.Go(func() {
			took := until(within, done)
			if t.Logf("mosquitto %s again after %s", what, took.Round(10*time.Millisecond)); took == 0 {
				t.Errorf("mosquitto %s no more, %s after its region was lost", what, within)
			}
		})
	}
	both.Wait()
	awaitCount(t, "every line", func() bool { return pub.arrived(0) == pub.written })
}

// until polls, and says after how long it was done; 0: not within that.
func until(within time.Duration, done func() bool) time.Duration {
	for began := time.Now(); time.Since(began) < within; time.Sleep(100 * time.Millisecond) {
		if done() {
			return time.Since(began)
		}
	}
	return 0
}

// lines are what mosquitto_pub publishes, numbered.
type lines struct {
	box     *inbox
	to      io.Writer
	written int
}

// goThrough says that a line arrived which was written after now; it writes more.
func (l *lines) goThrough() func() bool {
	first := l.written
	return func() bool {
		fmt.Fprintln(l.to, "line", l.written)
		l.written++
		return l.arrived(first) > 0
	}
}

// arrived is how many did, of those from one on.
func (l *lines) arrived(first int) (n int) {
	for i := first; i < l.written; i++ {
		if l.box.count(withBody(fmt.Sprint("line ", i))) > 0 {
			n++
		}
	}
	return n
}

func (m *mqttMesh) commandsArrive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := m.postCommand(ctx, "again")
	return err == nil && answer.State == "delivered"
}

// domain is a name that stands for one region at a time. All are at the same
// port, as they are for a client that knows a name.
type domain struct {
	hosts string // file
	ips   []string
	port  string
	files []string // options of mosquitto
}

// domainName is in the certificate of every edge of the mesh.
const domainName = "localhost"

func newDomain(t *testing.T, m *mqttMesh) *domain {
	t.Helper()
	d := &domain{
		hosts: filepath.Join(m.dir, "hosts"), ips: []string{"127.0.2.1", "127.0.2.2"}, // as long as each other
		files: []string{"--cafile", m.CAFile(), "--cert", filepath.Join(m.dir, "device.pem"), "--key", filepath.Join(m.dir, "device.key")},
	}
	d.resolve(t, 0)
	var roads sync.WaitGroup
	ctx, end := context.WithCancel(context.Background())
	for region, l := range d.listen(t) {
		roads.Go(func() { road(ctx, l, m.edge(region)) })
	}
	t.Cleanup(func() {
		end()
		roads.Wait()
	})
	return d
}

// resolve lets the name stand for a region. The file stays the one that programs
// have, and none sees it half written.
func (d *domain) resolve(t *testing.T, region int) {
	t.Helper()
	f, err := os.OpenFile(d.hosts, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(d.ips[region] + " " + domainName + "\n"); err != nil {
		t.Fatal(err)
	}
}

// listen takes a port that is free at every address.
func (d *domain) listen(t *testing.T) []net.Listener {
	t.Helper()
	for range 20 {
		d.port = "0"
		var all []net.Listener
		for _, ip := range d.ips {
			l, err := net.Listen("tcp", net.JoinHostPort(ip, d.port))
			if err != nil {
				break
			}
			all = append(all, l)
			_, d.port, _ = net.SplitHostPort(l.Addr().String())
		}
		if len(all) == len(d.ips) {
			return all
		}
		for _, l := range all {
			_ = l.Close()
		}
	}
	t.Fatal("no port is free at all addresses")
	return nil
}

// road leads from an address to an edge, until ctx ends.
func road(ctx context.Context, l net.Listener, edge string) {
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer client.Close()
			if server, err := new(net.Dialer).DialContext(ctx, "tcp", edge); err == nil {
				carry(ctx, client, server)
			}
		})
	}
}

// carry copies both ways until one side closes.
func carry(ctx context.Context, client, server net.Conn) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			defer end()
			_, _ = io.Copy(to, from)
		})
	}
	both.Wait()
}

// inDomain runs a program with a hosts file of its own.
const inDomain = `mount --bind "$1" /etc/hosts && shift && exec "$@"`

// start runs a client of Debian's that knows the name, and returns its standard
// input.
func (d *domain) start(t *testing.T, program string, args ...string) io.Writer {
	t.Helper()
	unshare := mesh.Tool(t, "unshare", "util-linux")
	if out, err := exec.Command(unshare, "--mount", "--map-root-user", "true").CombinedOutput(); err != nil {
		t.Skipf("no mounts of its own for a program here: %v: %s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, unshare, slices.Concat([]string{"--mount", "--map-root-user", "sh", "-c", inDomain, "sh", d.hosts,
		mesh.Tool(t, program, "mosquitto-clients"), "-h", domainName, "-p", d.port, "-k", fmt.Sprint(mosquittoKeepAlive.Seconds())}, d.files, args)...)
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); t.Failed() {
			t.Logf("%s: %v: %s", program, err, said)
		}
	})
	return in
}

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// fleet is devices on QUIC, in the role of a process: every other one speaks MQTT,
// the others HTTP/3. Whoever loses its connection comes back with full jitter: after
// a time between nothing and a second, then two, four and so on up to sixteen.
type fleet struct {
	client  *tls.Config
	sockets []*quic.Transport
	conns   []*quic.Conn // by device
}

const (
	perSocket    = 64
	firstBackoff = time.Second
	mostBackoff  = 16 * time.Second
	fleetTimeout = 10 * time.Second // of one attempt
	fleetNice    = 10               // more than that of this program
	kernelNice   = 20
)

// comeback is how devices came (back).
type comeback struct {
	Seconds  float64 // until the last one was there
	Median   float64
	Attempts int64
	Refused  int64 // attempts that failed
	Reason   string
}

func runFleet() error {
	if err := giveWay(); err != nil {
		return err
	}
	client, err := clientOf(os.Getenv(envDir))
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f := &fleet{client: client}
	fmt.Println("-", control.Addr())
	return http.Serve(control, http.HandlerFunc(f.control))
}

// giveWay lowers the priority of every thread there is; new ones inherit it
// (sched(7)).
func giveWay() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	nice := min(kernelNice-now+fleetNice, 19) // the system call gives 20 less what it is (getpriority(2))
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil {
			return fmt.Errorf("give way to the agents: %w", err)
		}
	}
	return nil
}

func clientOf(dir string) (*tls.Config, error) {
	pair, err := os.ReadFile(filepath.Join(dir, fileDevice))
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair, pair)
	if err != nil {
		return nil, err
	}
	roots, err := poolOf(filepath.Join(dir, fileMeshCA))
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}, err
}

// control connects devices to an address, those that are connected already too, and
// answers when the last one is there. At the first time few of them come at once: that
// is no storm yet.
func (f *fleet) control(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err == nil {
		err = f.prepare(n)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	turns := n
	if first := f.conns[0] == nil; first {
		turns = atOnce
	}
	_ = json.NewEncoder(w).Encode(f.come(r.Context(), r.FormValue("addr"), turns))
}

// prepare has sockets for n devices.
func (f *fleet) prepare(n int) error {
	f.conns = slices.Grow(f.conns, n)[:n]
	for len(f.sockets)*perSocket < n {
		udp, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		f.sockets = append(f.sockets, &quic.Transport{Conn: udp})
	}
	return nil
}

func (f *fleet) come(ctx context.Context, addr string, turns int) comeback {
	var c comeback
	var all sync.WaitGroup
	var attempts, refused atomic.Int64
	var reason atomic.Value
	turn := make(chan struct{}, turns)
	began, took := time.Now(), make([]float64, len(f.conns))
	for i := range f.conns {
		all.Go(func() {
			if old := f.conns[i]; old != nil {
				_ = old.CloseWithError(0, "")
			}
			most := firstBackoff
			for ctx.Err() == nil && pause(ctx, rand.N(most)) {
				turn <- struct{}{}
				attempts.Add(1)
				err := f.connect(ctx, i, addr)
				<-turn
				if err == nil {
					took[i] = time.Since(began).Seconds()
					return
				}
				refused.Add(1)
				reason.Store(err.Error())
				most = min(2*most, mostBackoff)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	c.Attempts, c.Refused = attempts.Load(), refused.Load()
	c.Seconds, c.Median = took[len(took)-1], took[len(took)/2]
	c.Reason, _ = reason.Load().(string)
	return c
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// connect opens a device's connection and says hello.
func (f *fleet) connect(ctx context.Context, i int, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	conf := f.client.Clone()
	conf.ServerName, _, _ = net.SplitHostPort(addr)
	hello := f.helloMQTT
	if conf.NextProtos = []string{alpn}; i%2 == 1 {
		conf.NextProtos = []string{http3.NextProtoH3}
		hello = f.helloHTTP3
	}
	conn, err := f.sockets[i/perSocket].Dial(ctx, to, conf, &quic.Config{MaxIdleTimeout: 5 * time.Minute})
	if err != nil {
		return err
	}
	if err := hello(ctx, conn, i, addr); err != nil {
		_ = conn.CloseWithError(0, "")
		return err
	}
	f.conns[i] = conn
	return nil
}

func (f *fleet) helloMQTT(ctx context.Context, conn *quic.Conn, i int, _ string) error {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Write(connect(i)); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = stream.SetReadDeadline(deadline)
	var answer [4]byte
	if _, err := io.ReadFull(stream, answer[:]); err != nil || answer != [4]byte{0x20, 2, 0, 0} {
		return fmt.Errorf("CONNACK %x: %w", answer, err)
	}
	return nil
}

func (f *fleet) helloHTTP3(ctx context.Context, conn *quic.Conn, _ int, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+"/hello", nil)
	if err != nil {
		return err
	}
	rsp, err := (&http3.Transport{}).NewClientConn(conn).RoundTrip(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode >= 300 {
		return fmt.Errorf("hello: %s", rsp.Status)
	}
	_, err = io.Copy(io.Discard, rsp.Body)
	return err
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/edge"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// The servers that this program runs of itself. Each prints its address, the
// same for TCP and UDP, and that of its control port.
const (
	roleEdge = "serve-edge"
	roleTLS  = "serve-tls"
	roleQUIC = "serve-quic"

	roleMesh  = "serve-mesh"
	roleFleet = "be-devices"

	envDir      = "DEVICES_DIR"
	fileCA      = "ca.pem"
	fileCert    = "edge.pem"
	fileKey     = "edge.key"
	fileMeshCA  = "mesh-ca.pem"
	fileDevice  = "device.pem" // of the mesh's authority, with its key
	alpn        = "mqtt"
	trustDomain = "devices.test"
)

// runRole serves in a role until the process is ended; false: it is none.
func runRole(role string) bool {
	run, ok := map[string]func() error{
		roleEdge: func() error { return runServer(serveEdge) }, roleTLS: func() error { return runServer(serveTLS) },
		roleQUIC: func() error { return runServer(serveQUIC) }, roleMesh: runMesh, roleFleet: runFleet,
	}[role]
	if !ok {
		return false
	}
	fmt.Fprintln(os.Stderr, "devices:", run())
	os.Exit(1)
	return true
}

func runServer(serve func(net.Listener, net.PacketConn, *tls.Config) error) error {
	dir := os.Getenv(envDir)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, fileCert), filepath.Join(dir, fileKey))
	if err != nil {
		return err
	}
	pool, err := poolOf(filepath.Join(dir, fileCA))
	if err != nil {
		return err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{alpn}}
	tcp, udp, err := listenPair()
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(control, http.HandlerFunc(tellMemory)) }()
	fmt.Println(tcp.Addr(), control.Addr())
	return serve(tcp, udp, conf)
}

func poolOf(file string) (*x509.CertPool, error) {
	authority, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return pool, nil
}

// listenPair opens a port that is free on both TCP and UDP.
func listenPair() (tcp net.Listener, udp net.PacketConn, err error) {
	for range 50 {
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return tcp, udp, nil
		}
		_ = udp.Close()
	}
	return nil, nil, err
}

// tellMemory collects garbage and says what is left, stacks included.
func tellMemory(w http.ResponseWriter, _ *http.Request) {
	for range 6 { // each halves a stack at most, and connections are idle for longer than that
		runtime.GC()
	}
	debug.FreeOSMemory() // so that the process holds no more than it uses
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprint(w, m.HeapAlloc+m.StackInuse)
}

// serveTLS is the least that an idle connection can cost: a goroutine that waits
// for a byte.
func serveTLS(l net.Listener, _ net.PacketConn, conf *tls.Config) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go echo(tls.Server(conn, conf))
	}
}

func serveQUIC(_ net.Listener, conn net.PacketConn, conf *tls.Config) error {
	l, err := quic.Listen(conn, conf, &quic.Config{MaxIdleTimeout: 10 * time.Minute})
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			if stream, err := conn.AcceptStream(context.Background()); err == nil {
				echo(stream)
			}
		}()
	}
}

func echo(rw io.ReadWriter) {
	var one [1]byte
	for {
		if _, err := rw.Read(one[:]); err != nil {
			return
		}
		if _, err := rw.Write(one[:]); err != nil {
			return
		}
	}
}

// takesAll is a handler for devices that say nothing.
type takesAll struct{ pool *x509.CertPool }

func (h takesAll) Identify(_ context.Context, cs tls.ConnectionState, _ mqtt.Credentials) (policy.Device, error) {
	return transport.VerifyDevice(cs.PeerCertificates, h.pool, trustDomain, nil, time.Time{})
}

func (takesAll) Ordered(*mqtt.Publication) bool { return true }

func (takesAll) Subscribe(policy.Device, string) bool { return true }

func (takesAll) Changed(string) {}

func (takesAll) Publish(context.Context, *mqtt.Publication) mqtt.Verdict { return mqtt.Verdict{} }

// serveEdge is the edge of an agent, without the agent.
func serveEdge(l net.Listener, conn net.PacketConn, conf *tls.Config) error {
	server, err := mqtt.New(mqtt.Config{Handler: takesAll{conf.ClientCAs}})
	if err != nil {
		return err
	}
	limits := edge.DefaultLimits()
	limits.ConnectionsPerSource, limits.HandshakeRate, limits.RetryAbove, limits.IdleTimeout = 100_000, 1e5, 1e5, 10*time.Minute
	e, err := edge.Listen(edge.Config{
		Conn: conn, TCP: l, Certificate: func() *tls.Certificate { return &conf.Certificates[0] }, ClientCAs: func() *x509.CertPool { return conf.ClientCAs },
		ClientAuth: edge.Required, TrustDomain: trustDomain, MQTT: server, Limits: limits,
		Handler: http.NotFoundHandler(),
	})
	if err != nil {
		return err
	}
	e.Start()
	select {}
}

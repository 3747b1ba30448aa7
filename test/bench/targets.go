package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/test/child"
	"github.com/tidegate/tidegate/transport"
)

const (
	nameAgent = "tidegate"
	nameBare  = "bare"
	nameCaddy = "caddy"
	nameTLS   = "mqtt-tls" // the agent again, with messages at QoS 1
	nameQUIC  = "mqtt-quic"
)

// target is a running server.
type target struct {
	name    string
	addr    string // UDP
	proc    *child.Process
	mqtt    dialMQTT // nil: HTTP/3
	samples []sample
}

// bench is the servers, the backend and what they share.
type bench struct {
	dir     string
	root    string // of the module
	backend string
	client  *tls.Config
	procs   []*child.Process
	targets []*target
}

func newBench(ctx context.Context, opt options) (b *bench, err error) {
	b = &bench{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.root, err = moduleRoot(ctx); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "tidegate-bench-"); err != nil {
		return b, err
	}
	if err := b.certificates(); err != nil {
		return b, err
	}
	proc, addr, err := child.StartSelf(ctx, b.path(roleBackend+".log"), roleBackend)
	if err != nil {
		return b, err
	}
	b.procs, b.backend = append(b.procs, proc), addr
	for _, add := range []func(context.Context, options) error{b.addAgent, b.addBare, b.addCaddy} {
		if err := add(ctx, opt); err != nil {
			return b, err
		}
	}
	agent := b.targets[0]
	b.targets = append(b.targets, &target{name: nameTLS, addr: agent.addr, proc: agent.proc, mqtt: dialTLS},
		&target{name: nameQUIC, addr: agent.addr, proc: agent.proc, mqtt: dialQUIC})
	return b, nil
}

func (b *bench) close() {
	for _, p := range b.procs {
		p.Kill()
	}
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("find the module: run this inside of tidegate's folder")
	}
	return filepath.Dir(mod), nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// certificates makes an authority, and from it what servers and load show.
func (b *bench) certificates() error {
	ca, err := transport.NewAuthority("bench", "bench.test", time.Hour)
	if err != nil {
		return err
	}
	edge, err := ca.IssueEdge([]string{"127.0.0.1", "localhost"}, time.Hour)
	if err != nil {
		return err
	}
	mesh, err := ca.IssueMesh("bench", "bench-1", time.Hour)
	if err != nil {
		return err
	}
	device, err := ca.IssueDevice("d-17", map[string]string{"tenant": "a"}, time.Hour)
	if err != nil {
		return err
	}
	pair, err := device.TLS()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertPEM())
	b.client = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}
	return errors.Join(
		os.WriteFile(b.path("ca.pem"), ca.CertPEM(), 0o600),
		os.WriteFile(b.path("edge.pem"), edge.CertPEM, 0o600), os.WriteFile(b.path("edge.key"), edge.KeyPEM, 0o600),
		os.WriteFile(b.path("mesh.pem"), mesh.CertPEM, 0o600), os.WriteFile(b.path("mesh.key"), mesh.KeyPEM, 0o600),
	)
}

func (b *bench) addBare(ctx context.Context, _ options) error {
	proc, addr, err := child.StartSelf(ctx, b.path(roleBare+".log"), roleBare, envCert+"="+b.path("edge.pem"), envKey+"="+b.path("edge.key"))
	if err != nil {
		return err
	}
	b.procs = append(b.procs, proc)
	return b.add(ctx, &target{name: nameBare, addr: addr, proc: proc})
}

// add waits until t serves.
func (b *bench) add(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := b.try(ctx, t)
		if err == nil {
			b.targets = append(b.targets, t)
			return nil
		}
		select {
		case <-t.proc.Done():
			return fmt.Errorf("%s ended: %s", t.name, t.proc.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w: %s", t.name, err, t.proc.Tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *bench) try(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tr := &http3.Transport{TLSClientConfig: b.client}
	defer tr.Close()
	l := &load{url: "https://" + t.addr + "/v1/devices/d-17/telemetry"}
	return l.post(ctx, tr, make([]byte, payload))
}

// freePort gives an address whose port is free on UDP and TCP.
func freePort() (string, error) {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		conn, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			return l.Addr().String(), conn.Close()
		}
	}
	return "", errors.New("no port is free on both UDP and TCP")
}

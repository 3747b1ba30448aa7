package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/test/child"
)

// What an idle connection may cost beyond a bare one, in bytes.
const (
	mostOverTLS  = 8_000
	mostOverQUIC = 10_000
)

// runIdle measures what devices cost that do nothing.
func (l *lab) runIdle(ctx context.Context, opt options) ([]bar, error) {
	cost, resident := map[string]float64{}, map[string]float64{}
	for _, k := range kinds {
		var err error
		if cost[k.name], resident[k.name], err = l.idle(ctx, k, opt.connections); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		say("%-10s %6.1f kB a connection, resident %.1f kB", k.name, cost[k.name]/1000, resident[k.name]/1000)
	}
	bars := idleBars(cost)
	theirs, err := l.mosquitto(ctx, opt.connections)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		say("mosquitto is not installed (Debian package mosquitto): not compared")
	case err != nil:
		return nil, fmt.Errorf("mosquitto: %w", err)
	default:
		bars = append(bars, told("resident a connection, MQTT on TLS", resident[mqttTLS]/1000, "kB"), told("the same, mosquitto", theirs/1000, "kB"))
	}
	return bars, nil
}

func idleBars(cost map[string]float64) []bar {
	return []bar{
		atMost("idle MQTT on TLS over crypto/tls", (cost[mqttTLS]-cost[bareTLS])/1000, mostOverTLS/1000, "kB"),
		atMost("idle MQTT on QUIC over quic-go", (cost[mqttQUIC]-cost[bareQUIC])/1000, mostOverQUIC/1000, "kB"),
	}
}

// idle is what each of n devices costs the server, in bytes: of its heap and
// stacks, and of its resident memory.
func (l *lab) idle(ctx context.Context, k kind, n int) (cost, resident float64, err error) {
	s, err := l.start(ctx, k.role)
	if err != nil {
		return 0, 0, err
	}
	defer s.Kill()
	var before, after [2]int64
	err = l.crowd(ctx, k, s.addr, n, func() (err error) {
		before, err = s.memory(ctx)
		return err
	}, func() (err error) {
		after, err = s.settled(ctx)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, s.Tail())
	}
	return float64(after[0]-before[0]) / float64(n), float64(after[1]-before[1]) / float64(n), nil
}

// crowd connects n devices to a server, after a few more whose cost is not counted:
// what the first ones bring about is not theirs.
func (l *lab) crowd(ctx context.Context, k kind, addr string, n int, before, after func() error) error {
	const first = 50
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &devices{kind: k, addr: addr, client: l.client}
	defer d.close()
	if err := d.open(ctx, 0, first); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	if err := d.open(ctx, first, n); err != nil {
		return err
	}
	return after()
}

// memory is what a server holds after garbage collection, and what is resident, in
// bytes.
func (s *server) memory(ctx context.Context) (m [2]int64, err error) {
	text, err := s.ask(ctx, "/memory")
	if err != nil {
		return m, err
	}
	if m[0], err = strconv.ParseInt(string(text), 10, 64); err != nil {
		return m, err
	}
	m[1], err = residentOf(s.Process)
	return m, err
}

// settled is memory once it no longer changes: handshakes leave something to do
// behind.
func (s *server) settled(ctx context.Context) (m [2]int64, err error) {
	const steady, longest, pause = 0.002, 50, 100 * time.Millisecond
	for range longest {
		last := m
		if m, err = s.memory(ctx); err != nil {
			return m, err
		}
		if change := float64(m[0]-last[0]) / float64(m[0]); change < steady && change > -steady {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(pause):
		}
	}
	return m, fmt.Errorf("memory does not come to rest: %d bytes", m[0])
}

// residentOf reads what of a process is in memory (proc_pid_status(5)).
func residentOf(p *child.Process) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(raw, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("no VmRSS of process %d", p.Cmd.Process.Pid)
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}

const mosquittoConfig = `listener %s 127.0.0.1
cafile %[2]s
certfile %[3]s
keyfile %[4]s
require_certificate true
use_identity_as_username true
`

// mosquitto is what a connection costs Eclipse's broker, in resident bytes.
func (l *lab) mosquitto(ctx context.Context, n int) (float64, error) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	path := func(name string) string { return filepath.Join(l.dir, name) }
	text := fmt.Sprintf(mosquittoConfig, port, path(fileCA), path(fileCert), path(fileKey))
	if os.Geteuid() == 0 {
		text += "user root\n" // else it cannot read the key
	}
	if err := os.WriteFile(path("mosquitto.conf"), []byte(text), 0o600); err != nil {
		return 0, err
	}
	proc, err := child.Start(exec.CommandContext(ctx, program, "-c", path("mosquitto.conf")), path("mosquitto.log"))
	if err != nil {
		return 0, err
	}
	defer proc.Kill()
	addr := "127.0.0.1:" + port
	if err := awaitTCP(ctx, addr); err != nil {
		return 0, fmt.Errorf("%w: %s", err, proc.Tail())
	}
	var before, after int64
	err = l.crowd(ctx, kinds[1], addr, n, func() (err error) {
		before, err = residentOf(proc)
		return err
	}, func() (err error) {
		after, err = residentOf(proc)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, proc.Tail())
	}
	return float64(after-before) / float64(n), nil
}

package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/test/child"
)

// silence is what connections cost that send nothing at all.
type silence struct {
	each float64       // bytes of the server's
	wait time.Duration // for a device that connects meanwhile, to its CONNACK
}

// silent opens n connections to the edge that send nothing, and a device while
// they last, which is until the edge cuts them off.
func (l *lab) silent(ctx context.Context, n int) (s silence, err error) {
	proc, line, err := child.StartSelf(ctx, filepath.Join(l.dir, "silent.log"), roleEdge, envDir+"="+l.dir)
	if err != nil {
		return s, err
	}
	defer proc.Kill()
	addr, control, _ := strings.Cut(line, " ")
	before, err := memory(ctx, control)
	if err != nil {
		return s, err
	}
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return s, fmt.Errorf("silent connection: %w", err)
		}
		defer conn.Close()
	}
	d := &devices{kind: kind{mqttTLS, roleEdge, false, nil, 4}, addr: addr, client: l.client}
	defer d.close()
	began := time.Now()
	if err := d.one(ctx, 0); err != nil {
		return s, fmt.Errorf("%w: %s", err, proc.Tail())
	}
	s.wait = time.Since(began)
	after, err := memory(ctx, control)
	s.each = float64(after-before) / float64(n)
	return s, err
}

// What a silent connection may cost in bytes, and how long a device may wait.
const (
	mostSilent = 12_000
	mostWait   = time.Second
)

func silentBars(n int, s silence) []bar {
	return []bar{
		{fmt.Sprintf("each of %d silent connections", n), s.each / 1000, "kB", fmt.Sprintf("≤ %g", mostSilent/1000.0), s.each <= mostSilent},
		{"a device connects meanwhile", float64(s.wait.Microseconds()) / 1000, "ms", fmt.Sprintf("≤ %d", mostWait.Milliseconds()), s.wait <= mostWait},
	}
}

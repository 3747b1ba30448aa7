package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// What a silent connection may cost in bytes, and how long a device may wait.
const (
	mostSilent = 12_000
	mostWait   = time.Second
)

// runSilent opens connections to the edge that send nothing at all, and a device
// while they last, which is until the edge cuts them off.
func (l *lab) runSilent(ctx context.Context, opt options) ([]bar, error) {
	s, err := l.start(ctx, roleEdge)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	before, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	for range opt.silent {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return nil, fmt.Errorf("silent connection: %w", err)
		}
		defer conn.Close()
	}
	d := &devices{kind: kind{mqttTLS, roleEdge, false, nil, 4}, addr: s.addr, client: l.client}
	defer d.close()
	began := time.Now()
	if err := d.one(ctx, 0); err != nil {
		return nil, fmt.Errorf("%w: %s", err, s.Tail())
	}
	waited := time.Since(began)
	after, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	each := float64(after[0]-before[0]) / float64(opt.silent)
	return []bar{
		atMost(fmt.Sprintf("each of %d silent connections", opt.silent), each/1000, mostSilent/1000, "kB"),
		atMost("a device connects meanwhile, until its CONNACK", float64(waited.Microseconds())/1000, float64(mostWait.Milliseconds()), "ms"),
	}, nil
}

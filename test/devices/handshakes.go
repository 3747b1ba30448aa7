package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	handshakeRounds = 7   // interleaved; the median counts
	handshakeCount  = 400 // a round
	leastHandshakes = 70  // percent of the bare server's, for the same CPU time
)

// runHandshakes compares how many full handshakes with mutual TLS a second of CPU
// time is good for. Each comes with what makes the server's end of it certain: a byte
// echoed by the bare server, CONNECT and CONNACK by the edge.
func (l *lab) runHandshakes(ctx context.Context, _ options) ([]bar, error) {
	var rates [2][]float64
	contenders := []kind{kinds[2], kinds[3]}
	servers := make([]*server, len(contenders))
	for i, k := range contenders {
		s, err := l.start(ctx, k.role)
		if err != nil {
			return nil, err
		}
		defer s.Kill()
		servers[i] = s
	}
	for round := range handshakeRounds + 1 {
		for i, k := range contenders {
			rate, err := l.handshakes(ctx, k, servers[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w: %s", k.name, err, servers[i].Tail())
			}
			if round > 0 { // the first warms up
				rates[i] = append(rates[i], rate)
			}
		}
	}
	bare, ours := median(rates[0]), median(rates[1])
	say("handshakes a second of CPU: %s %.0f, %s %.0f", contenders[0].name, bare, contenders[1].name, ours)
	return []bar{
		atLeast("full mTLS handshakes, of bare quic-go's by CPU", 100*ours/bare, leastHandshakes, "%"),
		told("full mTLS handshakes a second of CPU", ours, "/s"),
	}, nil
}

func (l *lab) handshakes(ctx context.Context, k kind, s *server) (perSecond float64, err error) {
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	d := &devices{kind: k, addr: s.addr, client: l.client}
	err = d.open(ctx, 0, handshakeCount)
	d.close()
	if err != nil {
		return 0, err
	}
	after, err := s.CPU()
	if err == nil && after <= before {
		err = fmt.Errorf("%d handshakes took no CPU time", handshakeCount)
	}
	return handshakeCount / (after - before).Seconds(), err
}

func median[T float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

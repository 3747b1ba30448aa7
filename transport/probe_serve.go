package transport

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"
)

// vectorsPerSecond is what one connection may pull.
const vectorsPerSecond = 10

// serveProbes answers a peer's probes until the connection is closed.
func (m *Mesh) serveProbes(conn *quic.Conn, peer Peer) {
	var streams sync.WaitGroup
	streams.Go(func() { m.serveVectors(conn) })
	defer streams.Wait()
	perSecond := m.cfg.Limits.ProbesPerSecond
	limiter := rate.NewLimiter(rate.Limit(perSecond), 1+int(perSecond))
	buffer := make([]byte, 0, probeHeader+maxStatus)
	for {
		datagram, err := conn.ReceiveDatagram(conn.Context())
		if err != nil {
			return
		}
		seq, err := parsePing(datagram)
		if err != nil {
			continue
		}
		if !limiter.Allow() {
			m.metrics.refused("probe rate")
			continue
		}
		// An answer that does not fit the path now is one lost probe.
		_ = conn.SendDatagram(appendPong(buffer, seq, m.cfg.Probes.Answer(peer)))
	}
}

// serveVectors serves one stream at a time; more of them wait, bounded by flow
// control.
func (m *Mesh) serveVectors(conn *quic.Conn) {
	limiter := rate.NewLimiter(vectorsPerSecond, vectorsPerSecond)
	for {
		str, err := conn.AcceptStream(conn.Context())
		if err != nil || limiter.Wait(conn.Context()) != nil {
			return
		}
		m.serveVector(conn.Context(), str)
	}
}

func (m *Mesh) serveVector(ctx context.Context, str *quic.Stream) {
	str.SetDeadline(time.Now().Add(pullTimeout))
	request, err := io.ReadAll(io.LimitReader(str, 1+maxHave))
	if err != nil || len(request) == 0 || request[0] != requestVector {
		str.CancelRead(codeCanceled)
		str.CancelWrite(codeCanceled)
		return
	}
	str.CancelRead(codeCanceled) // whatever else a newer agent says
	frame := m.cfg.Probes.Vector(request[1:])
	if len(frame) > maxVector {
		m.cfg.Logger.Error("own vector is too large to be served", "bytes", len(frame), "limit", maxVector)
		frame = nil
	}
	if _, err := str.Write(frame); err != nil || ctx.Err() != nil {
		str.CancelWrite(codeCanceled)
		return
	}
	str.Close()
}

package transport

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	pullTimeout = 2 * time.Second
	pullPause   = 100 * time.Millisecond // between pulls from one peer
	probeWindow = 64                     // probes that may be under way
)

// prober probes one peer over one connection, until that is closed.
type prober struct {
	keeper   *keeper
	conn     *quic.Conn
	answered chan struct{} // closed by the first answer
	newest   uint64        // answered; receive only
	pulling  atomic.Bool

	mu   sync.Mutex // guards sent
	sent [probeWindow]sentProbe
}

type sentProbe struct {
	seq uint64
	at  time.Time
}

// startProber returns a channel that the first answer closes.
func (k *keeper) startProber(conn *quic.Conn) <-chan struct{} {
	p := &prober{keeper: k, conn: conn, answered: make(chan struct{})}
	k.mesh.wg.Go(p.send)
	k.mesh.wg.Go(p.receive)
	return p.answered
}

func (p *prober) send() {
	ticker := time.NewTicker(p.keeper.mesh.timing.pulse)
	defer ticker.Stop()
	for seq := uint64(1); ; seq++ {
		p.note(seq, time.Now())
		if err := p.conn.SendDatagram(appendPing(nil, seq)); err != nil {
			p.conn.CloseWithError(codeRefused, "no datagrams")
			return
		}
		p.keeper.mesh.metrics.probeSent(p.keeper.peer.Region)
		select {
		case <-ticker.C:
		case <-p.conn.Context().Done():
			return
		}
	}
}

func (p *prober) note(seq uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[seq%probeWindow] = sentProbe{seq, now}
}

// take returns when a probe was sent, once.
func (p *prober) take(seq uint64) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := &p.sent[seq%probeWindow]
	if slot.seq != seq || slot.at.IsZero() {
		return time.Time{}, false
	}
	at := slot.at
	slot.at = time.Time{}
	return at, true
}

func (p *prober) receive() {
	for {
		datagram, err := p.conn.ReceiveDatagram(p.conn.Context())
		if err != nil {
			return
		}
		seq, status, err := parsePong(datagram)
		if err != nil {
			continue
		}
		if at, ok := p.take(seq); ok {
			p.answer(seq, status, at, time.Now())
		}
	}
}

func (p *prober) answer(seq uint64, status []byte, sent, now time.Time) {
	k := p.keeper
	if p.newest == 0 {
		close(p.answered)
	}
	k.answered(now.Sub(sent), now)
	if seq < p.newest {
		return // overtaken
	}
	p.newest = seq
	if len(status) > 0 {
		k.mesh.cfg.Probes.Status(k.peer, status)
		if have, want := k.mesh.cfg.Probes.WantVector(k.peer, status); want {
			p.pull(have)
		}
	}
}

// pull fetches the peer's vector, one at a time.
func (p *prober) pull(have []byte) {
	if !p.pulling.CompareAndSwap(false, true) {
		return
	}
	p.keeper.mesh.wg.Go(func() {
		defer p.pulling.Store(false)
		frame, err := pullVector(p.conn, have)
		if err != nil {
			p.keeper.log.Debug("pull vector", "error", err)
		} else if len(frame) > 0 {
			p.keeper.mesh.cfg.Probes.VectorPulled(p.keeper.peer, frame)
		}
		select {
		case <-time.After(pullPause):
		case <-p.conn.Context().Done():
		}
	})
}

func pullVector(conn *quic.Conn, have []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(conn.Context(), pullTimeout)
	defer cancel()
	str, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	defer str.CancelRead(codeCanceled) // nothing when it was read to its end
	deadline, _ := ctx.Deadline()
	str.SetDeadline(deadline)
	if _, err := str.Write(appendVectorRequest(nil, have)); err != nil {
		str.CancelWrite(codeCanceled)
		return nil, err
	}
	str.Close()
	return readVector(str)
}

func readVector(r io.Reader) ([]byte, error) {
	frame, err := io.ReadAll(io.LimitReader(r, maxVector+1))
	if err != nil {
		return nil, err
	}
	if len(frame) > maxVector {
		return nil, fmt.Errorf("vector is larger than %d bytes", maxVector)
	}
	return frame, nil
}

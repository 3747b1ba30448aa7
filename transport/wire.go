package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// wire is one connection to a peer: QUIC, or TCP where UDP is blocked.
type wire interface {
	// roundTrip sends a request; its errors are of kind ErrNotSent when the
	// request was surely not processed.
	roundTrip(req *http.Request, copying copyBuffers) (*http.Response, error)
	received() uint64        // grows with every packet that comes in
	patience() time.Duration // least silence that means something
	rtt() time.Duration
	done() <-chan struct{} // closed with the connection
	cause() error          // why it is closed; only then
	refusing() bool        // the peer wants no new requests
	close(reason error)    // nil: all is well; returns when it is closed
	protocol() string
}

// quicWire is a tunnel, a probe connection, or the accepted end of one; client
// is nil but for tunnels that this agent dialled.
type quicWire struct {
	conn   *quic.Conn
	client *http3.ClientConn
}

func (w *quicWire) received() uint64      { return w.conn.ConnectionStats().PacketsReceived }
func (w *quicWire) rtt() time.Duration    { return w.conn.ConnectionStats().SmoothedRTT }
func (w *quicWire) done() <-chan struct{} { return w.conn.Context().Done() }
func (w *quicWire) cause() error          { return context.Cause(w.conn.Context()) }
func (w *quicWire) protocol() string      { return "quic" }

// patience is three probe timeouts (RFC 9002 section 6.2.1): quic-go sends
// keep-alives no more often than every one and a half.
func (w *quicWire) patience() time.Duration {
	stats := w.conn.ConnectionStats()
	return 3 * (stats.SmoothedRTT + 4*stats.MeanDeviation + 25*time.Millisecond)
}

func (w *quicWire) close(reason error) {
	code, text := codeNoError, ""
	if reason != nil {
		code, text = codeRefused, reason.Error()
	}
	w.conn.CloseWithError(code, text)
}

// refusing notices the GOAWAY that http3.ClientConn keeps to itself: after one
// it opens no stream whatever the context says.
func (w *quicWire) refusing() bool {
	if w.client == nil {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.client.OpenRequestStream(ctx)
	return err != context.Canceled
}

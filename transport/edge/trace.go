package edge

import (
	"context"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// http3.Server accepts request streams itself and tells nobody before a whole
// header has arrived, so a connection's qlog events are the one public sign of a
// stream that was opened. Nothing is written; docs/decisions/http3-header-timeout.md
// has what this costs and what else was tried.

func (s *Server) trace(ctx context.Context, _ bool, _ quic.ConnectionID) qlogwriter.Trace {
	return streamTrace{&connectionFrom(ctx).headers}
}

type streamTrace struct{ headers *headerless }

func (t streamTrace) AddProducer() qlogwriter.Recorder { return t }

// SupportsSchemas says no, so that http3 does not describe every frame.
func (t streamTrace) SupportsSchemas(string) bool { return false }

func (t streamTrace) Close() error { return nil }

// RecordEvent runs on the connection's goroutine.
func (t streamTrace) RecordEvent(e qlogwriter.Event) {
	switch e := e.(type) {
	case qlog.PacketReceived:
		t.received(e.Frames)
	case qlog.PacketSent:
		t.sent(e.Frames)
	}
}

func (t streamTrace) received(frames []qlog.Frame) {
	for i := range frames {
		switch f := frames[i].Frame.(type) {
		case *qlog.StreamFrame:
			t.headers.opened(f.StreamID)
		case *qlog.ResetStreamFrame:
			t.headers.over(f.StreamID)
		case *qlog.StopSendingFrame:
			t.headers.unwanted(f.StreamID)
		case *qlog.MaxStreamDataFrame:
			t.headers.opened(f.StreamID)
		case *qlog.StreamDataBlockedFrame:
			t.headers.opened(f.StreamID)
		}
	}
}

// sent finds the streams that http3 ended without a request: malformed, or with
// too large a header.
func (t streamTrace) sent(frames []qlog.Frame) {
	if !t.headers.any() {
		return
	}
	for i := range frames {
		switch f := frames[i].Frame.(type) {
		case *qlog.StopSendingFrame:
			t.headers.over(f.StreamID)
		case *qlog.StreamFrame:
			if f.Fin {
				t.headers.answered(f.StreamID)
			}
		case *qlog.ResetStreamFrame:
			t.headers.answered(f.StreamID)
		}
	}
}

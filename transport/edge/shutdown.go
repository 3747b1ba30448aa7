package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/quic-go/quic-go/http3"
)

// Shutdown drains: new connections are refused, open ones are told to go
// (GOAWAY on HTTP/3 and HTTP/2, Connection: close on HTTP/1.1), and requests
// under way finish. It returns when all have gone, or with the context's error
// when that ends first; either way everything is closed then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopTaking()
	var waits []func(context.Context) error
	var turning sync.WaitGroup
	if s.quic != nil {
		turning.Go(s.turnAway)
		waits = append(waits, s.drainHTTP3)
	}
	if s.http != nil {
		waits = append(waits, s.http.Shutdown)
	}
	if s.cfg.MQTT != nil {
		waits = append(waits, s.drainMQTT)
	}
	results := make(chan error)
	for _, wait := range waits {
		go func() { results <- wait(ctx) }()
	}
	var errs []error
	for range waits {
		errs = append(errs, <-results)
	}
	errs = append(errs, s.Close())
	turning.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("drain the edge: %w", err)
	}
	return nil
}

// stopTaking refuses new connections. Those that were taken are known by then, or
// will be turned away.
func (s *Server) stopTaking() {
	s.gate.shut()
	s.stopAccepting()
	if s.cfg.MQTTListener != nil {
		_ = s.cfg.MQTTListener.Close()
	}
	s.start.Do(func() { close(s.servingHTTP3) })
	<-s.servingHTTP3
	s.closeOnce(s.drainingStarted)
}

func (s *Server) closeOnce(ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// Close ends every connection at once, and with it the context of every request
// under way. Calling it again returns the same error.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stopTaking()
		var errs []error
		if s.http != nil {
			errs = append(errs, s.http.Close(), ignoreClosed(s.cfg.TCP.Close()))
			s.cutTCP()
		}
		if s.quic != nil {
			for _, c := range s.tracked() {
				closeQUIC(c.quic, http3.ErrCodeNoError, "")
			}
			s.end()
			s.served.Wait()
			errs = append(errs, s.quic.Close())
		}
		s.end()
		if s.transport != nil {
			errs = append(errs, s.transport.Close(), ignoreClosed(s.cfg.Conn.Close()))
		}
		s.owned.Wait()
		s.metrics.unregister(s.cfg.Metrics)
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

// cutTCP ends what net/http does not know: handshakes and MQTT.
func (s *Server) cutTCP() {
	for _, c := range s.open() {
		if c.proto == protoTCP {
			c.cut()
		}
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

package fault

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// retransmission is what a lost packet costs a stream: the least
// retransmission time-out of common TCP stacks.
const retransmission = 200 * time.Millisecond

// mostUnsent bounds the bytes of a stream that are on their way.
const mostUnsent = 1 << 20

// stream is one end of a TCP connection under the rules. Cut off, it stalls in
// both directions as over a dead link; writes and reads still honour deadlines
// and Close. A lost packet costs a stream a retransmission time-out.
type stream struct {
	net.Conn
	sw         *Switch
	self, peer netip.AddrPort
	onClose    func()

	closing context.Context
	close   context.CancelCauseFunc
	once    sync.Once

	readBy, writeBy deadline

	reading sync.Mutex // guards kept and keptErr; held through a Read
	kept    []byte     // read from the socket, not delivered
	keptErr error

	writing sync.Mutex // held through a Write
	out     line[[]byte]
	unsent  tally
}

func newStream(inner net.Conn, self, peer netip.AddrPort, sw *Switch, onClose func()) *stream {
	s := &stream{Conn: inner, sw: sw, self: self, peer: peer, onClose: onClose}
	s.closing, s.close = context.WithCancelCause(context.Background())
	s.out.send = s.sendHeld
	return s
}

func (s *stream) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	var err error
	if len(s.kept) == 0 && s.keptErr == nil {
		err = s.receive(b)
	}
	if err == nil {
		err = s.hold(&s.readBy, s.peer, s.self, receiving)
	}
	if err != nil {
		s.kept = bytes.Clone(s.kept) // b is the caller's again
		return 0, err
	}
	n := copy(b, s.kept)
	s.kept = s.kept[n:]
	if len(s.kept) > 0 {
		return n, nil
	}
	err = s.keptErr
	s.kept, s.keptErr = nil, nil
	return n, err
}

// receive reads into kept, using b as the buffer. The end of a stream is kept
// too: a cut holds it back as it does data.
func (s *stream) receive(b []byte) error {
	n, err := s.Conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	s.kept, s.keptErr = b[:n], err
	f := s.sw.judge(s.peer, s.self, receiving)
	return s.pause(&s.readBy, f.slow())
}

// slow is how much later a stream's bytes come.
func (f *fate) slow() time.Duration {
	if !f.cut() && f.lost() {
		return f.delay + retransmission
	}
	return f.delay
}

func (s *stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.hold(&s.writeBy, s.self, s.peer, sending); err != nil {
		return 0, err
	}
	f := s.sw.judge(s.self, s.peer, sending)
	slow := f.slow()
	if _, behind := s.out.waiting(); slow == 0 && !behind {
		return s.Conn.Write(b)
	}
	if err := s.makeRoom(len(b)); err != nil {
		return 0, err
	}
	s.out.put(bytes.Clone(b), slow, true)
	return len(b), nil
}

func (s *stream) makeRoom(n int) error {
	for !s.unsent.add(n, mostUnsent) {
		due, any := s.out.waiting()
		if !any {
			due = time.Now().Add(time.Millisecond)
		}
		if err := s.pause(&s.writeBy, time.Until(due)+time.Millisecond); err != nil {
			return err
		}
	}
	return s.unsent.failure()
}

func (s *stream) sendHeld(b []byte) {
	defer s.unsent.sub(len(b))
	if err := s.hold(&deadline{}, s.self, s.peer, sending); err != nil { // on its way: no deadline stops it
		s.unsent.fail(err)
		return
	}
	if s.unsent.failure() == nil {
		_, err := s.Conn.Write(b)
		s.unsent.fail(err)
	}
}

// hold waits while the rules cut src off from dst.
func (s *stream) hold(by *deadline, src, dst netip.AddrPort, at side) error {
	for {
		f := s.sw.judge(src, dst, at)
		if !f.cut() {
			return nil
		}
		if err := by.within(s.closing, f.await); err != nil {
			return s.failed(err)
		}
	}
}

func (s *stream) pause(by *deadline, d time.Duration) error {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		err := by.within(s.closing, func(ctx context.Context) error { return sleep(ctx, time.Until(end)) })
		if err != nil {
			return s.failed(err)
		}
	}
	return nil
}

func (s *stream) failed(err error) error {
	return &net.OpError{Op: "wait", Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// lastWords is how long closing may take to send what is under way.
const lastWords = 100 * time.Millisecond

// Close sends what is delayed at once, unless the stream is cut off, and closes.
func (s *stream) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		_ = s.Conn.SetWriteDeadline(time.Now().Add(lastWords))
		s.close(net.ErrClosed)
		s.out.flush()
		err = s.Conn.Close()
		s.onClose()
	})
	return err
}

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.readBy.set(t)
	return s.Conn.SetReadDeadline(t)
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.writeBy.set(t)
	return s.Conn.SetWriteDeadline(t)
}

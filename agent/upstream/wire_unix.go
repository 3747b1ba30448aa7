//go:build unix

package upstream

import (
	"errors"
	"io"
	"syscall"
)

// wire is the state of one pass over the descriptor: look whether a kept
// connection is still open, write, wait, read. Doing all of it inside one
// RawConn.Read saves a read that would find nothing: the poller is armed before
// the write, so the answer's arrival cannot be missed.
type wire struct {
	phase   wirePhase
	out     []byte
	written int
	await   bool // wait for the answer after the write
	err     error
}

type wirePhase uint8

const (
	probing wirePhase = iota
	writing
	reading
)

var (
	errClosedByPeer = errors.New("closed by the instance")
	errUnasked      = errors.New("the instance sent bytes nobody asked for")
)

func (cn *conn) initWire() {
	sc, ok := cn.nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	cn.raw, cn.onWire = raw, cn.stepWire
}

// exchange writes out and, when await is set and all was written, reads the
// first bytes of the answer into cn.in.
func (cn *conn) exchange(out []byte, await bool) (written int, err error) {
	if cn.raw == nil {
		return cn.nc.Write(out)
	}
	cn.wire = wire{phase: writing, out: out, await: await}
	if cn.reused {
		cn.wire.phase = probing
	}
	if err := cn.raw.Read(cn.onWire); err != nil {
		return cn.wire.written, err
	}
	w := &cn.wire
	w.out = nil
	return w.written, w.err
}

// stepWire reports whether the pass is over; false waits until fd is readable.
func (cn *conn) stepWire(fd uintptr) bool {
	w := &cn.wire
	switch w.phase {
	case probing:
		if w.err = cn.probe(int(fd)); w.err != nil {
			return true
		}
		fallthrough
	case writing:
		w.written, w.err = writeSome(int(fd), w.out)
		if w.err != nil || w.written < len(w.out) || !w.await {
			return true
		}
		w.phase = reading
		return false
	}
	n, err := readSome(int(fd), cn.in.buf[cn.in.w:])
	if err == syscall.EAGAIN {
		return false
	}
	if cn.in.w += n; err == nil && n == 0 {
		err = io.EOF
	}
	w.err = err
	return true
}

// probe finds out whether an idle connection is open and silent, as it must be.
func (cn *conn) probe(fd int) error {
	n, err := readSome(fd, cn.in.buf[:1])
	switch {
	case err == syscall.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errClosedByPeer
	}
	return errUnasked
}

// writeSome writes what the socket takes at once.
func writeSome(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

func readSome(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

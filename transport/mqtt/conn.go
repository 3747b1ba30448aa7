package mqtt

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
)

// Memory of a connection while nothing happens on it is mostly this.
const readBuffer = 128

// conn is one connection, from CONNECT to its end. Its own goroutine reads;
// anybody may send.
type conn struct {
	srv     *Server
	link    *Link
	r       *bufio.Reader
	version byte
	mods    packets.Mods // what the device wants to hear, and how much at a time
	window  int          // how many pushes may be on their way to the device
	device  policy.Device
	epoch   uint64
	session *session
	pending int // messages of QoS 1 and 2 whose exchange began here and goes on; guarded by the session's lock
	will    *will
	aliases map[uint16]string
	patient time.Duration // longest silence of the device; 0: any

	writing sync.Mutex
	moving  bool        // it has to leave; guarded by the server's lock
	ended   atomic.Bool // by us or by DISCONNECT: no will, or it was dealt with

	taking  sync.Mutex  // held while a packet is dealt with
	drained atomic.Bool // nothing more is dealt with; set with taking held

	over     chan struct{}
	closing  sync.Once
	finished sync.Once
}

// newConn keeps what it needs off the stack of the goroutine that will read for
// hours: 5,000 idle devices cost what their stacks do.
//
//go:noinline
func newConn(s *Server, l *Link) *conn {
	return &conn{srv: s, link: l, r: bufio.NewReaderSize(l.Conn, readBuffer), over: make(chan struct{})}
}

// run serves the connection to its end.
func (c *conn) run() {
	defer c.wrapUp()
	c.srv.metrics.connections.Inc()
	if c.connect() {
		c.fail(c.serve())
	}
	if c.session != nil {
		c.srv.release(c)
	}
}

// wrapUp is one deferred call where three would do: what run has on the stack,
// it has for hours.
func (c *conn) wrapUp() {
	c.survive(recover())
	c.srv.metrics.connections.Dec()
	c.finish()
}

// survive ends the connection, not the process, when there is a bug.
func (c *conn) survive(bug any) {
	if bug != nil {
		c.srv.log.Error("bug: MQTT connection ended by a panic", "remote", c.link.RemoteAddr(), "panic", bug, "stack", string(debug.Stack()))
		if c.session != nil {
			c.srv.release(c)
		}
	}
}

func (c *conn) finish() {
	c.close()
	c.aliases = nil // a will that waits knows the connection
	c.finished.Do(func() { close(c.over) })
}

func (c *conn) close() { c.closing.Do(func() { _ = c.link.Close() }) }

// serve takes packets until the connection ends; nil: the device said goodbye.
func (c *conn) serve() error {
	for {
		if err := c.link.SetReadDeadline(c.silentUntil()); err != nil {
			return err
		}
		p, err := readPacket(c.r, c.version, c.srv.cfg.Limits.MaxPacket)
		if err != nil {
			return err
		}
		if goodbye, err := c.deal(p); goodbye || err != nil {
			return err
		}
	}
}

// deal does what a packet asks for, unless the connection has to go: then the
// device sends it again, to another agent.
func (c *conn) deal(p *packets.Packet) (goodbye bool, err error) {
	c.taking.Lock()
	defer c.taking.Unlock()
	if c.drained.Load() {
		return false, nil
	}
	return c.take(p)
}

// silentUntil is when the connection ends unless the device is heard before, or
// at all, because what it showed counts no more.
func (c *conn) silentUntil() time.Time {
	if c.patient > 0 {
		if quiet := time.Now().Add(c.patient); c.device.Until.IsZero() || quiet.Before(c.device.Until) {
			return quiet
		}
	}
	return c.device.Until
}

func (c *conn) outlived() bool {
	return !c.device.Until.IsZero() && !c.srv.cfg.Now().Before(c.device.Until)
}

// take does what a packet asks for.
//
//go:noinline
func (c *conn) take(p *packets.Packet) (goodbye bool, err error) {
	switch p.FixedHeader.Type {
	case packets.Publish:
		return false, c.publish(p)
	case packets.Pubrel:
		return false, c.send(c.session.released(c, p.PacketID))
	case packets.Pingreq:
		return false, c.send(c.packet(packets.Pingresp))
	case packets.Subscribe:
		return false, c.subscribe(p)
	case packets.Unsubscribe:
		return false, c.unsubscribe(p)
	case packets.Puback:
		c.session.acknowledgedBy(c, p)
		return false, nil
	case packets.Pubrec, packets.Pubcomp:
		return false, nil // answers to nothing that we sent
	case packets.Disconnect:
		return true, c.disconnected(p)
	}
	return false, packets.ErrProtocolViolation // a second CONNECT
}

// disconnected is the device's own goodbye (MQTT 5.0, section 3.14).
func (c *conn) disconnected(p *packets.Packet) error {
	if c.version == 5 && p.Properties.SessionExpiryIntervalFlag {
		if !c.session.expireAfter(c, c.srv.expiry(p.Properties.SessionExpiryInterval)) {
			return packets.ErrProtocolViolationZeroNonZeroExpiry
		}
	}
	c.ended.Store(p.ReasonCode == packets.CodeDisconnect.Code)
	return nil
}

// packet begins one, on the heap: see newConn.
//
//go:noinline
func (c *conn) packet(kind byte) *packets.Packet {
	return &packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, ProtocolVersion: c.version, Mods: c.mods}
}

// send writes a packet; nil: nothing is to be said.
func (c *conn) send(p *packets.Packet) error {
	if p == nil {
		return nil
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.write(p)
}

// write is send, with the lock held.
func (c *conn) write(p *packets.Packet) error {
	raw, err := encode(p)
	if err != nil {
		return err
	}
	return c.writeRaw(raw)
}

func (c *conn) writeRaw(raw []byte) error {
	if err := c.link.SetWriteDeadline(time.Now().Add(c.srv.cfg.Limits.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.link.Write(raw)
	return err
}

// tell sends what comes of work elsewhere; a connection that does not take it
// is over.
func (c *conn) tell(p *packets.Packet) {
	if c.send(p) != nil {
		c.close()
	}
}

// fail says why the connection ends, as far as the protocol can. Closing without
// a word is all that MQTT 3.1.1 has.
func (c *conn) fail(err error) {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	code := packets.Code{}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && c.outlived():
		code = packets.ErrMaxConnectTime
	case errors.Is(err, os.ErrDeadlineExceeded):
		code = packets.ErrKeepAliveTimeout
	case isOurs(err):
		code = packets.Code{Code: codeOf(err), Reason: err.Error()}
	default: // of the network
		return
	}
	c.srv.metrics.violation(code.Code)
	c.srv.log.Debug("MQTT connection ended", "remote", c.link.RemoteAddr(), "device", c.device.ID, "reason", err)
	c.dismiss(code)
}

func isOurs(err error) bool {
	if _, ok := errors.AsType[packets.Code](err); ok {
		return true
	}
	return errors.Is(err, errMalformed)
}

// dismiss ends the connection for a reason, whether the device takes it or not.
func (c *conn) dismiss(code packets.Code) { c.dismissTo(code, "") }

// dismissTo names the server to go to, unless that is empty.
func (c *conn) dismissTo(code packets.Code, server string) {
	late := time.AfterFunc(time.Second, c.close)
	defer late.Stop()
	if c.version == 5 {
		p := c.packet(packets.Disconnect)
		p.ReasonCode, p.Properties.ReasonString, p.Properties.ServerReference = code.Code, code.Reason, server
		_ = c.send(p)
	}
	c.close()
}

// drain has the connection go once what it brought is acknowledged, or at the
// end of the context.
func (c *conn) drain(ctx context.Context) {
	defer c.close()
	late := context.AfterFunc(ctx, c.close) // who does not read holds up neither of the locks for longer
	defer late()
	c.taking.Lock()
	c.drained.Store(true)
	session := c.session
	c.taking.Unlock()
	if session != nil {
		session.settle(ctx)
		c.ended.Store(true)
		if server := c.srv.cfg.Elsewhere(); server != "" {
			c.dismissTo(packets.ErrUseAnotherServer, server)
		} else {
			c.dismiss(packets.ErrServerShuttingDown)
		}
	}
	c.close()
	<-c.over
}

package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// mqttConn is a connection of a client of MQTT 5.
type mqttConn struct {
	rw   io.ReadWriteCloser
	room chan struct{} // one for each message under way, as many as the server takes
	over chan struct{} // closed at its end
	ends sync.Once
	runs sync.WaitGroup // its reader and what keeps it alive

	writing sync.Mutex

	mu      sync.Mutex // guards what follows
	err     error      // why it ended
	last    uint16     // packet identifier
	pending map[uint16]chan *packets.Packet
}

const (
	mqttVersion   = 5
	mostInFlight  = 1024    // also where the server takes more
	mostMQTTBytes = 1 << 20 // of a packet that a server sends
)

var errNoMQTT = errors.New("the edge does not speak MQTT 5")

// openMQTT begins a session. It closes rw when that fails.
func openMQTT(ctx context.Context, rw io.ReadWriteCloser, id string) (*mqttConn, error) {
	c := &mqttConn{rw: rw, over: make(chan struct{}), pending: map[uint16]chan *packets.Packet{}}
	stop := context.AfterFunc(ctx, func() { _ = rw.Close() })
	r := bufio.NewReader(rw)
	ack, err := c.begin(r, id)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		_ = rw.Close()
		return nil, err
	}
	room := int(ack.Properties.ReceiveMaximum)
	if room == 0 || room > mostInFlight {
		room = mostInFlight
	}
	c.room = make(chan struct{}, room)
	c.runs.Go(func() { c.end(c.read(r)) })
	c.runs.Go(c.keepAlive)
	return c, nil
}

func (c *mqttConn) begin(r *bufio.Reader, id string) (*packets.Packet, error) {
	p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	p.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: id, Keepalive: uint16(2 * mqttKeepAlive / time.Second)}
	if err := c.send(p, p.ConnectEncode); err != nil {
		return nil, err
	}
	ack, body, err := readMQTT(r)
	if err != nil {
		return nil, err
	}
	if ack.FixedHeader.Type != packets.Connack {
		return nil, errNoMQTT
	}
	if err := ack.ConnackDecode(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoMQTT, err)
	}
	if ack.ReasonCode != 0 {
		return nil, fmt.Errorf("the edge refuses the connection: reason %#x", ack.ReasonCode)
	}
	return ack, nil
}

func (c *mqttConn) send(p *packets.Packet, encode func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	p.ProtocolVersion = mqttVersion
	if err := encode(&b); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.rw.Write(b.Bytes())
	return err
}

// readMQTT reads a packet's header, and its body as it is.
func readMQTT(r *bufio.Reader) (*packets.Packet, []byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, nil, err
	}
	p := &packets.Packet{ProtocolVersion: mqttVersion}
	if err := p.FixedHeader.Decode(first); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoMQTT, err)
	}
	if p.FixedHeader.Remaining, _, err = packets.DecodeLength(r); err != nil {
		return nil, nil, err
	}
	if p.FixedHeader.Remaining > mostMQTTBytes {
		return nil, nil, errNoMQTT
	}
	body := make([]byte, p.FixedHeader.Remaining)
	_, err = io.ReadFull(r, body)
	return p, body, err
}

// read takes acknowledgements until the connection ends.
func (c *mqttConn) read(r *bufio.Reader) error {
	for {
		p, body, err := readMQTT(r)
		if err != nil {
			return err
		}
		switch p.FixedHeader.Type {
		case packets.Puback:
			if err := p.PubackDecode(body); err != nil {
				return err
			}
			c.acknowledge(p)
		case packets.Disconnect:
			reason := byte(0)
			if len(body) > 0 {
				reason = body[0]
			}
			return fmt.Errorf("the edge disconnected: reason %#x", reason)
		}
	}
}

func (c *mqttConn) acknowledge(p *packets.Packet) {
	c.mu.Lock()
	waits := c.pending[p.PacketID]
	delete(c.pending, p.PacketID)
	c.mu.Unlock()
	if waits != nil {
		waits <- p
		<-c.room
	}
}

// publish sends a message and waits for its acknowledgement.
func (c *mqttConn) publish(ctx context.Context, p *packets.Packet) (*packets.Packet, error) {
	select {
	case c.room <- struct{}{}:
	case <-c.over:
		return nil, c.reason()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var waits chan *packets.Packet
	p.PacketID, waits = c.number()
	if err := c.send(p, p.PublishEncode); err != nil {
		c.end(err)
		return nil, err
	}
	select {
	case ack := <-waits:
		return ack, nil
	case <-c.over:
		return nil, c.reason()
	case <-ctx.Done(): // its acknowledgement is still to come
		return nil, ctx.Err()
	}
}

// number finds a packet identifier that is free: there are more than may be under way.
func (c *mqttConn) number() (uint16, chan *packets.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.last++; c.last == 0 || c.pending[c.last] != nil; c.last++ {
	}
	waits := make(chan *packets.Packet, 1)
	c.pending[c.last] = waits
	return c.last, waits
}

func (c *mqttConn) keepAlive() {
	tick := time.NewTicker(mqttKeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-c.over:
			return
		case <-tick.C:
		}
		p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}
		if err := c.send(p, p.PingreqEncode); err != nil {
			c.end(err)
			return
		}
	}
}

func (c *mqttConn) alive() bool {
	select {
	case <-c.over:
		return false
	default:
		return true
	}
}

func (c *mqttConn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *mqttConn) end(why error) {
	c.ends.Do(func() {
		c.mu.Lock()
		c.err = fmt.Errorf("connection lost: %w", why)
		c.mu.Unlock()
		_ = c.rw.Close()
		close(c.over)
	})
}

func (c *mqttConn) close() {
	c.end(net.ErrClosed)
	c.runs.Wait()
}

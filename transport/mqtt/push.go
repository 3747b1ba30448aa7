package mqtt

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/transport"
)

// outbox is what a session has for its device: made with the first subscription,
// since most devices only publish. The session's lock guards it.
type outbox struct {
	filters map[string]byte // quality of service by topic filter
	queue   []*push         // to be sent; those that were sent on an earlier connection come first
	sent    []*push         // on this connection, not acknowledged
	bytes   int             // of both
	lastID  uint16
	sender  *conn // a goroutine empties the queue to it
}

// push is one command on its way to the device.
type push struct {
	*transport.Errand
	qos byte
	id  uint16 // packet identifier; 0: never sent
}

// Deliver hands a command to the newest session of a device that subscribed to
// its topic, and waits until the device acknowledged it. When ctx ends before, or
// when the device is away, the command stays with the session until it expires,
// and is Pending. One that is offered again by the same ID is not sent twice. A
// command must not be changed afterwards.
func (s *Server) Deliver(ctx context.Context, device string, cmd *transport.Command) transport.Delivery {
	p, refused := s.offer(device, cmd)
	if p == nil {
		return refused
	}
	return p.Wait(ctx)
}

// offer puts a command into a session; a nil push: what came of it at once.
func (s *Server) offer(device string, cmd *transport.Command) (*push, transport.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best, qos, found := (*session)(nil), byte(0), transport.Unknown
	for e := s.devices[device]; e != nil && !s.draining; e = e.sibling {
		found = transport.Unsubscribed
		if q, subscribed := e.subscribed(cmd.Topic); subscribed && e.newerThan(best) {
			best, qos = e, q
		}
	}
	if best == nil {
		return nil, transport.Delivery{State: found}
	}
	return best.offer(cmd, qos)
}

func (e *session) subscribed(topic string) (qos byte, subscribed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out == nil {
		return 0, false
	}
	return e.out.granted(topic)
}

// newerThan prefers sessions with a connection, then the last that came. The
// server's lock is held, which both are guarded by.
func (e *session) newerThan(o *session) bool {
	if o == nil || (e.conn != nil) != (o.conn != nil) {
		return o == nil || e.conn != nil
	}
	return e.since > o.since
}

func (e *session) offer(cmd *transport.Command, qos byte) (*push, transport.Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.out
	p := o.find(cmd.ID)
	if p == nil {
		if !o.room(cmd, &e.srv.cfg.Limits) {
			return nil, transport.Delivery{State: transport.Overfull}
		}
		p = &push{Errand: transport.NewErrand(cmd), qos: qos}
		o.queue = append(o.queue, p)
		o.bytes += cmd.Size()
	}
	if e.conn == nil {
		return nil, transport.Delivery{State: transport.Pending, Reason: "the device is away"}
	}
	e.kickLocked()
	return p, transport.Delivery{}
}

func (o *outbox) find(id string) *push {
	for _, list := range [...][]*push{o.sent, o.queue} {
		for _, p := range list {
			if p.Command.ID == id {
				return p
			}
		}
	}
	return nil
}

// room makes some by what has expired.
func (o *outbox) room(cmd *transport.Command, l *Limits) bool {
	fits := func() bool {
		return len(o.queue)+len(o.sent) < l.InFlight && (o.bytes == 0 || o.bytes+cmd.Size() <= l.InFlightBytes)
	}
	if !fits() {
		o.expire(time.Now())
	}
	return fits()
}

// expire gives up commands that nobody should get any more. Those that were sent
// keep their packet identifier until the device acknowledges them.
func (o *outbox) expire(now time.Time) {
	o.queue = slices.DeleteFunc(o.queue, func(p *push) bool {
		late := now.After(p.Command.Expires)
		if late {
			o.settle(p, transport.Refused, "it expired")
		}
		return late
	})
}

func (o *outbox) settle(p *push, state transport.DeliveryState, reason string) {
	o.bytes -= p.Command.Size()
	p.Settle(state, reason)
}

// kick has somebody empty the queue, if there is anything to be sent.
func (e *session) kick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kickLocked()
}

func (e *session) kickLocked() {
	o, c := e.out, e.conn
	if o == nil || c == nil || o.sender == c || len(o.queue) == 0 || len(o.sent) >= c.window {
		return
	}
	o.sender = c
	e.srv.working.Go(func() { e.pump(c) })
}

// pump sends what waits, in order.
func (e *session) pump(c *conn) {
	for {
		more, err := e.sendNext(c)
		if err != nil {
			c.close()
		}
		if !more || err != nil {
			return
		}
	}
}

func (e *session) sendNext(c *conn) (more bool, err error) {
	c.writing.Lock() // first, so that what is taken first is sent first
	defer c.writing.Unlock()
	p := e.nextPush(c)
	if p == nil {
		return false, nil
	}
	packet := c.pushed(p)
	raw, err := encode(packet)
	if err != nil {
		return false, err
	}
	if most := c.mods.MaxSize; most > 0 && len(raw) > int(most) {
		e.unsent(p, transport.Refused, "larger than the device takes")
		return true, nil
	}
	c.srv.metrics.pushed.Inc()
	if err := c.writeRaw(raw); err != nil {
		return false, err
	}
	if p.qos == 0 {
		e.unsent(p, transport.Sent, "")
	}
	return true, nil
}

// nextPush takes the next one off the queue; nil: the sender is done.
func (e *session) nextPush(c *conn) *push {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.out
	o.expire(time.Now())
	if e.conn != c || len(o.queue) == 0 || len(o.sent) >= c.window {
		if o.sender == c {
			o.sender = nil
		}
		return nil
	}
	p := o.queue[0]
	o.queue = o.queue[1:]
	o.sent = append(o.sent, p)
	return p
}

// unsent forgets a push that no acknowledgement will come for.
func (e *session) unsent(p *push, state transport.DeliveryState, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.out.sent, p); i >= 0 {
		e.out.sent = slices.Delete(e.out.sent, i, i+1)
		e.out.settle(p, state, reason)
	}
}

// pushed is the packet of a push. The connection's writing lock is held.
func (c *conn) pushed(p *push) *packets.Packet {
	packet := c.packet(packets.Publish)
	packet.Mods = packets.Mods{MaxSize: c.mods.MaxSize}
	packet.FixedHeader.Qos = p.qos
	packet.TopicName, packet.Payload = p.Command.Topic, p.Command.Payload
	if p.qos > 0 {
		packet.FixedHeader.Dup = p.id != 0
		packet.PacketID = c.session.identify(p)
	}
	if c.version == 5 {
		left := math.Ceil(time.Until(p.Command.Expires).Seconds())
		packet.Properties.ContentType = p.Command.ContentType
		packet.Properties.MessageExpiryInterval = uint32(max(1, min(left, math.MaxUint32)))
		packet.Properties.User = []packets.UserProperty{{Key: propertyID, Val: p.Command.ID}}
	}
	return packet
}

// identify gives a push a packet identifier that no other one has.
func (e *session) identify(p *push) uint16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.out
	for p.id == 0 {
		o.lastID++
		taken := func(other *push) bool { return other.id == o.lastID }
		if o.lastID != 0 && !slices.ContainsFunc(o.sent, taken) && !slices.ContainsFunc(o.queue, taken) {
			p.id = o.lastID
		}
	}
	return p.id
}

// acknowledgedBy is the device's word on a push (MQTT 5.0, section 3.4).
func (e *session) acknowledgedBy(c *conn, p *packets.Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out == nil || e.conn != c {
		return
	}
	o := e.out
	i := slices.IndexFunc(o.sent, func(s *push) bool { return s.id == p.PacketID })
	if i < 0 {
		return
	}
	push := o.sent[i]
	o.sent = slices.Delete(o.sent, i, i+1)
	if p.ReasonCode >= packets.ErrUnspecifiedError.Code {
		o.settle(push, transport.Refused, "the device answered "+hex(p.ReasonCode)+" "+p.Properties.ReasonString)
	} else {
		o.settle(push, transport.Delivered, "")
	}
	e.kickLocked()
}

// rewind has everything that was sent sent again, but for what is on its way at
// QoS 0: at most once, and the device may have it already. The session's lock is
// held.
func (e *session) rewind() {
	o := e.out
	if o == nil {
		return
	}
	var again []*push
	for _, p := range o.sent {
		if p.qos == 0 {
			o.settle(p, transport.Sent, "")
		} else {
			again = append(again, p)
		}
	}
	o.queue, o.sent = append(again, o.queue...), nil
}

// orphan empties the outbox of a session that ends. The session's lock is held.
func (e *session) orphan() (left []*transport.Command) {
	if e.out == nil {
		return nil
	}
	e.rewind()
	for _, p := range e.out.queue {
		left = append(left, p.Command)
		p.Settle(transport.Unknown, "the session ended")
	}
	e.out.queue, e.out.bytes = nil, 0
	return left
}

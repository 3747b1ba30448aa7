package mqtt

import (
	"strconv"
	"time"

	mrand "math/rand/v2"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
)

// delivery is one message of a session on its way to the handler.
type delivery struct {
	pub   *Publication // nil once there is a verdict
	id    uint16       // packet identifier; 0 at QoS 0
	qos   byte
	size  int
	state deliveryState
	code  byte // of the acknowledgement
}

type deliveryState uint8

const (
	underWay deliveryState = iota // no verdict yet
	answered                      // the acknowledgement was sent or waits for the device to come back; QoS 2: until it is released
)

// publish takes a message in.
func (c *conn) publish(p *packets.Packet) error {
	topic, err := c.topicOf(p)
	if err != nil {
		return err
	}
	switch {
	case p.FixedHeader.Qos > 0 && p.PacketID == 0:
		return packets.ErrProtocolViolationNoPacketID
	case c.version == 5 && p.FixedHeader.Retain:
		return packets.ErrRetainNotSupported
	}
	pub := c.publication(c.session.device, topic, p.Payload, p.FixedHeader.Qos, &p.Properties)
	again, err := c.session.take(c, p, pub)
	if again != nil {
		return c.send(again)
	}
	return err
}

// topicOf resolves a topic alias (MQTT 5.0, section 3.3.2.3.4).
func (c *conn) topicOf(p *packets.Packet) (string, error) {
	alias := p.Properties.TopicAlias
	switch {
	case c.version != 5 || alias == 0:
	case int(alias) > c.srv.cfg.Limits.TopicAliases:
		return "", packets.ErrTopicAliasInvalid
	case p.TopicName == "":
		known, ok := c.aliases[alias]
		if !ok {
			return "", packets.ErrTopicAliasInvalid
		}
		return known, nil
	default:
		if c.aliases == nil {
			c.aliases = map[uint16]string{}
		}
		c.aliases[alias] = p.TopicName
	}
	if !fitTopic(p.TopicName) {
		return "", packets.ErrTopicNameInvalid
	}
	return p.TopicName, nil
}

// propertyID is the user property by which a device names its message itself.
const propertyID = "ce-id"

func (c *conn) publication(d policy.Device, topic string, payload []byte, qos byte, pr *packets.Properties) *Publication {
	pub := &Publication{
		Device: d, Client: c.link.RemoteAddr(), Host: c.host(), TLS: &c.link.TLS,
		Topic: topic, Payload: payload, QoS: qos, ContentType: pr.ContentType, Received: time.Now(),
	}
	for _, u := range pr.User {
		if u.Key == propertyID {
			pub.ID = u.Val
			continue
		}
		pub.Properties = append(pub.Properties, Property{u.Key, u.Val})
	}
	return pub
}

func (c *conn) host() string {
	if name := c.link.TLS.ServerName; name != "" {
		return name
	}
	return c.link.LocalAddr().String()
}

// take puts a message into the lane of its topic. again: it came before, and this
// is what was said then.
func (e *session) take(c *conn, p *packets.Packet, pub *Publication) (again *packets.Packet, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != c { // another connection took the session over
		return nil, packets.ErrSessionTakenOver
	}
	if known := e.deliveries[p.PacketID]; p.PacketID != 0 && known != nil {
		if again, repeated := e.repeated(c, p, known); repeated {
			return again, nil
		}
	}
	limits := &e.srv.cfg.Limits
	if e.outstanding >= limits.InFlight || e.bytes+len(pub.Payload) > limits.InFlightBytes {
		return nil, e.full(c, pub)
	}
	d := &delivery{pub: pub, id: p.PacketID, qos: pub.QoS, size: len(pub.Payload)}
	if e.made++; pub.ID == "" {
		pub.ID = e.id + "-" + strconv.FormatUint(e.made, 10)
	}
	if d.qos > 0 {
		e.deliveries[d.id] = d
	}
	e.outstanding++
	e.bytes += d.size
	e.enqueue(d)
	return nil, nil
}

// repeated says whether a packet brings a message that came before. Its own lock
// is held.
func (e *session) repeated(c *conn, p *packets.Packet, known *delivery) (again *packets.Packet, repeated bool) {
	switch {
	case known.state == underWay:
		return nil, true // its acknowledgement will come
	case known.qos == 2:
		return known.ack(c), true
	case p.FixedHeader.Dup:
		return known.ack(c), true
	}
	return nil, false // the identifier is used anew
}

// full is what happens to a message that exceeds the session's bounds: at QoS 0
// it is lost; a device that was told the receive maximum is at fault; one of
// MQTT 3.1.1 has to come back later.
func (e *session) full(c *conn, pub *Publication) error {
	e.srv.metrics.overflow.Inc()
	switch {
	case pub.QoS == 0:
		return nil
	case c.version == 5 && e.outstanding >= e.srv.cfg.Limits.InFlight:
		return packets.ErrReceiveMaximum
	}
	e.bar()
	return packets.ErrQuotaExceeded
}

// bar has the device stay away for a while, some longer than others. The
// session's lock is held.
func (e *session) bar() {
	const least, most = time.Second, 10 * time.Second
	e.barred = time.Now().Add(least + mrand.N(most-least))
}

// lane is the messages of one topic, handed over one after the other.
type lane struct{ waiting []*delivery }

func (e *session) enqueue(d *delivery) {
	topic := d.pub.Topic
	if l := e.lanes[topic]; l != nil {
		l.waiting = append(l.waiting, d)
		return
	}
	l := &lane{waiting: []*delivery{d}}
	e.lanes[topic] = l
	e.srv.working.Go(func() { e.work(topic, l) })
}

func (e *session) work(topic string, l *lane) {
	for d := e.next(topic, l); d != nil; d = e.next(topic, l) {
		e.answer(d, e.deliver(d))
	}
}

func (e *session) next(topic string, l *lane) *delivery {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.waiting) == 0 {
		delete(e.lanes, topic)
		return nil
	}
	d := l.waiting[0]
	l.waiting = l.waiting[1:]
	return d
}

// deliver hands a message over until there is a verdict that the device can be
// told. MQTT 3.1.1 knows no refusal, so there what is not taken is withheld and
// offered again.
func (e *session) deliver(d *delivery) Verdict {
	for {
		v := e.srv.cfg.Handler.Publish(e.srv.life, d.pub)
		e.srv.metrics.published(d.qos, v.Result)
		final := v.Result == Accepted || v.Result == Refused
		if final || d.qos == 0 || e.hearsReasons() || !e.srv.wait(v.pause()) {
			return v
		}
	}
}

// pause is how long to wait before a message is offered again, a half more or
// less so that devices do not come in step.
func (v Verdict) pause() time.Duration {
	d := v.Retry
	if d <= 0 {
		d = time.Second
	}
	return d/2 + mrand.N(d)
}

// hearsReasons says that the device understands a refusal, or that nobody is
// left to offer the message for.
func (e *session) hearsReasons() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over || e.conn != nil && e.conn.version == 5
}

// answer acknowledges a message, or says why not.
func (e *session) answer(d *delivery, v Verdict) {
	e.mu.Lock()
	c := e.conn
	d.pub, d.state, d.code = nil, answered, v.Code
	e.bytes -= d.size
	taken := v.Result == Accepted
	if d.qos != 2 || !taken {
		e.outstanding--
	}
	e.remember(d, taken)
	e.mu.Unlock()
	if c == nil || d.qos == 0 {
		return
	}
	if taken || c.version == 5 {
		ack := d.ack(c)
		ack.Properties.ReasonString = v.Reason
		c.tell(ack)
		return
	}
	// To acknowledge it would be a lie, and silence would hold up the device for
	// ever.
	c.srv.metrics.violation(v.Code)
	c.close()
}

// remember keeps what was acknowledged as long as the device may send it again:
// of QoS 2 until it is released, of QoS 1 the last few of a session that outlives
// its connection. Its lock is held.
func (e *session) remember(d *delivery, taken bool) {
	switch {
	case d.qos == 0 || taken && d.qos == 2:
	case !taken || e.keep == 0:
		delete(e.deliveries, d.id)
	default:
		if e.told = append(e.told, d); len(e.told) > e.srv.cfg.Limits.InFlight {
			if oldest := e.told[0]; e.deliveries[oldest.id] == oldest {
				delete(e.deliveries, oldest.id)
			}
			e.told = e.told[1:]
		}
	}
}

// ack is the acknowledgement of a message that has been answered.
func (d *delivery) ack(c *conn) *packets.Packet {
	kind := packets.Puback
	if d.qos == 2 {
		kind = packets.Pubrec
	}
	p := c.packet(kind)
	p.PacketID, p.ReasonCode = d.id, d.code
	return p
}

// released is the third step of QoS 2.
func (e *session) released(version byte, id uint16) *packets.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pubcomp}, ProtocolVersion: version, PacketID: id}
	d := e.deliveries[id]
	switch {
	case d == nil || d.qos != 2:
		p.ReasonCode = packets.ErrPacketIdentifierNotFound.Code
	case d.state == underWay:
		return nil // not before PUBREC; the device will ask again
	default:
		delete(e.deliveries, id)
		e.outstanding--
	}
	return p
}

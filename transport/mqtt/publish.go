package mqtt

import (
	"context"
	"hash/maphash"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	mrand "math/rand/v2"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What a message may have besides its payload.
const (
	topicMost         = 4 << 10 // bytes
	propertiesMost    = 128
	propertyBytesMost = 16 << 10 // together
	propertyOverhead  = 64       // of memory, each
)

// delivery is one message of a session on its way to the handler.
type delivery struct {
	pub   *Publication // nil once there is a verdict
	name  string       // its id
	id    uint16       // packet identifier; 0 at QoS 0
	qos   byte
	size  int
	print uint64 // fingerprint of what it says
	on    *conn  // that counts it against the receive maximum
	state deliveryState
	code  Code // of the acknowledgement
}

type deliveryState uint8

const (
	underWay deliveryState = iota // no verdict yet
	answered                      // there is one, and the device was not told: it was away
	told                          // it was sent; it may have been lost on the way
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
	case !fitProperties(p.Properties.User):
		return packets.ErrPacketTooLarge
	}
	pub := c.publication(topic, p.Payload, p.FixedHeader.Qos, &p.Properties)
	lane := topic
	if !c.srv.cfg.Handler.Ordered(pub) {
		lane = ""
	}
	again, err := c.session.take(c, p, pub, lane)
	if again != nil {
		return c.send(again)
	}
	return err
}

func fitProperties(user []packets.UserProperty) bool {
	bytes := 0
	for _, u := range user {
		bytes += len(u.Key) + len(u.Val)
	}
	return len(user) <= propertiesMost && bytes <= propertyBytesMost
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
	}
	if !fitTopic(p.TopicName) {
		return "", packets.ErrTopicNameInvalid
	}
	if c.version == 5 && alias > 0 {
		if c.aliases == nil {
			c.aliases = map[uint16]string{}
		}
		c.aliases[alias] = strings.Clone(p.TopicName) // not all of the packet
	}
	return p.TopicName, nil
}

func fitTopic(topic string) bool {
	return topic != "" && len(topic) <= topicMost && !strings.ContainsAny(topic, "+#")
}

// propertyID is the user property by which a device names its message itself.
const propertyID = "ce-id"

func (c *conn) publication(topic string, payload []byte, qos byte, pr *packets.Properties) *Publication {
	pub := &Publication{
		Device: c.device, Client: c.link.RemoteAddr(), Host: c.host(), TLS: c.link.TLS,
		Topic: topic, Payload: payload, QoS: qos, ContentType: pr.ContentType, Received: c.srv.cfg.Now(),
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

// size is what a message takes of memory, nearly.
func (p *Publication) size() int {
	n := len(p.Payload) + len(p.Topic) + len(p.ContentType) + len(p.ID)
	for _, u := range p.Properties {
		n += len(u.Key) + len(u.Value) + propertyOverhead
	}
	return n
}

// print tells whether two messages say the same.
func (e *session) print(p *Publication) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	for _, part := range [...]string{p.Topic, p.ID, p.ContentType} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	for _, u := range p.Properties {
		_, _ = h.WriteString(u.Key)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(u.Value)
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(p.Payload)
	return h.Sum64()
}

// take puts a message into a lane, or one of its own (""). again: there is
// something to be said of it at once.
func (e *session) take(c *conn, p *packets.Packet, pub *Publication, lane string) (again *packets.Packet, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != c { // another connection took the session over
		return nil, packets.ErrSessionTakenOver
	}
	e.equip()
	d := &delivery{pub: pub, id: p.PacketID, qos: pub.QoS, size: pub.size()}
	if d.qos > 0 {
		d.print = e.print(pub)
		if again, done := e.repeated(c, d, p.FixedHeader.Dup); done {
			return again, nil
		}
	}
	if again, err, full := e.full(c, d); full {
		return again, err
	}
	e.name(d)
	if d.qos > 0 {
		e.deliveries[d.id] = d
		d.on = c
		c.pending++
	}
	e.count++
	e.bytes += d.size
	if lane == "" {
		lane = "\x00" + strconv.FormatUint(e.made, 10) // no topic has a NUL
	}
	e.enqueue(d, lane)
	return nil, nil
}

// name gives a message its id, unless the device or an earlier sending did.
func (e *session) name(d *delivery) {
	e.made++
	switch {
	case d.pub.ID != "":
		d.name = d.pub.ID
	case d.name == "":
		d.name = e.id + "-" + strconv.FormatUint(e.made, 10)
	}
	d.pub.ID = d.name
}

// repeated looks at what is known by the packet identifier. done: nothing more
// is to be done with the message, because it came before.
func (e *session) repeated(c *conn, d *delivery, dup bool) (again *packets.Packet, done bool) {
	known := e.deliveries[d.id]
	if known == nil {
		return nil, false
	}
	same := known.qos == d.qos && known.print == d.print
	switch {
	case same && known.state == underWay:
		known.count(c)
		return nil, true // its acknowledgement will come
	case same && (known.state == answered || d.qos == 2):
		known.count(c)
		e.acknowledged(known)
		return known.ack(c), true
	case same && dup:
		// Its acknowledgement was sent, but is it this message, or another that says
		// the same? To deliver it again by the same name is right for both.
		d.name = known.name
	}
	known.uncount() // the device forgot about it
	return nil, false
}

// count has a connection count the delivery.
func (d *delivery) count(c *conn) {
	if d.on != c {
		d.uncount()
		d.on = c
		c.pending++
	}
}

func (d *delivery) uncount() {
	if d.on != nil {
		d.on.pending--
		d.on = nil
	}
}

// full is what happens to a message that exceeds the session's bounds: at QoS 0
// it is lost; MQTT 5 hears it, or is at fault when it was told the receive
// maximum; one of MQTT 3.1.1 has to come back later.
func (e *session) full(c *conn, d *delivery) (again *packets.Packet, err error, full bool) {
	limits := &e.srv.cfg.Limits
	excess := d.qos > 0 && c.pending >= limits.InFlight
	if !excess && e.count < 2*limits.InFlight && (e.bytes == 0 || e.bytes+d.size <= limits.InFlightBytes) && (d.qos > 0 || e.count < limits.InFlight) {
		return nil, nil, false
	}
	e.srv.metrics.overflow.Inc()
	switch {
	case d.qos == 0:
		return nil, nil, true
	case c.version != 5:
		e.bar()
		return nil, packets.ErrQuotaExceeded, true
	case excess:
		return nil, packets.ErrReceiveMaximum, true
	}
	d.code = QuotaExceeded
	return d.ack(c), nil, true
}

// bar has the device stay away for a while, some longer than others. The
// session's lock is held.
func (e *session) bar() {
	const least, most = time.Second, 10 * time.Second
	e.barred = time.Now().Add(least + mrand.N(most-least))
}

// lane is messages, in general of one topic, that are handed over one after the
// other.
type lane struct{ waiting []*delivery }

func (e *session) enqueue(d *delivery, name string) {
	if l := e.lanes[name]; l != nil {
		l.waiting = append(l.waiting, d)
		return
	}
	l := &lane{waiting: []*delivery{d}}
	e.lanes[name] = l
	e.srv.working.Go(func() { e.work(name, l) })
}

func (e *session) work(name string, l *lane) {
	for d := e.next(name, l); d != nil; d = e.next(name, l) {
		e.answer(d, e.deliver(d))
	}
}

// next takes the next message of a lane. When the session is over, what needs an
// acknowledgement is not handed over any more: the device sends it again.
func (e *session) next(name string, l *lane) *delivery {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(l.waiting) > 0 {
		d := l.waiting[0]
		l.waiting = l.waiting[1:]
		if !e.over || d.qos == 0 {
			return d
		}
	}
	delete(e.lanes, name)
	return nil
}

// deliver hands a message over until there is a verdict that the device can be
// told. MQTT 3.1.1 knows no refusal, so there what is not taken is withheld and
// offered again.
func (e *session) deliver(d *delivery) Verdict {
	ctx := e.life
	if d.qos == 0 { // it was sent for good: the device may have left at once
		ctx = e.srv.life
	}
	for {
		v := e.srv.hand(ctx, d.pub)
		e.srv.metrics.published(d.qos, v.Result)
		final := v.Result == Accepted || v.Result == Refused
		if final || d.qos == 0 || e.hearsReasons() || !e.srv.wait(v.pause()) {
			return v
		}
	}
}

// hand gives a message to the handler. A bug there costs that message alone.
func (s *Server) hand(ctx context.Context, pub *Publication) (v Verdict) {
	defer func() {
		if bug := recover(); bug != nil {
			s.log.Error("bug: a message was not handed over", "topic", pub.Topic, "panic", bug, "stack", string(debug.Stack()))
			v = Verdict{Result: Failed, Code: UnspecifiedError}
		}
	}()
	return s.cfg.Handler.Publish(ctx, pub)
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
	ack, c := e.answered(d, v)
	switch {
	case ack != nil:
		ack.Properties.ReasonString = v.Reason
		c.tell(ack)
	case c != nil:
		// To acknowledge it would be a lie, and silence would hold up the device for
		// ever.
		c.srv.metrics.violation(byte(v.Code))
		c.close()
	}
}

// answered notes a verdict. It returns what is to be said on which connection;
// with a connection alone, that ends.
func (e *session) answered(d *delivery, v Verdict) (ack *packets.Packet, c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d.pub, d.state, d.code = nil, answered, v.Code
	e.count--
	e.bytes -= d.size
	taken := v.Result == Accepted
	switch {
	case d.qos == 0:
		return nil, nil
	case e.deliveries[d.id] != d: // the device uses the identifier for another one
		return nil, nil
	case !taken:
		d.uncount()
		delete(e.deliveries, d.id)
		if e.conn != nil && e.conn.version != 5 {
			e.bar() // it would come back with the same message at once
		}
	default:
		e.remember(d)
	}
	switch c = e.conn; {
	case c == nil:
		return nil, nil
	case taken:
		e.acknowledged(d)
	case c.version != 5:
		return nil, c
	}
	return d.ack(c), c
}

// remember keeps what was accepted as long as the device may send it again: of
// QoS 2 until it is released, of QoS 1 in a session that outlives its
// connection; the last few of both.
func (e *session) remember(d *delivery) {
	if e.recent = append(e.recent, d); len(e.recent) <= 2*e.srv.cfg.Limits.InFlight {
		return
	}
	oldest := e.recent[0]
	e.recent = e.recent[1:]
	if oldest.uncount(); e.deliveries[oldest.id] == oldest {
		delete(e.deliveries, oldest.id)
	}
}

// acknowledged notes that the device is being told.
func (e *session) acknowledged(d *delivery) {
	d.state = told
	if d.qos == 2 {
		return
	}
	if d.uncount(); e.keep == 0 {
		delete(e.deliveries, d.id)
	}
}

// ack is the acknowledgement of a message that has been answered.
func (d *delivery) ack(c *conn) *packets.Packet {
	kind := packets.Puback
	if d.qos == 2 {
		kind = packets.Pubrec
	}
	p := c.packet(kind)
	p.PacketID, p.ReasonCode = d.id, byte(d.code)
	return p
}

// released is the third step of QoS 2.
func (e *session) released(c *conn, id uint16) *packets.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != c {
		return nil
	}
	p := c.packet(packets.Pubcomp)
	p.PacketID = id
	d := e.deliveries[id]
	switch {
	case d == nil || d.qos != 2:
		p.ReasonCode = packets.ErrPacketIdentifierNotFound.Code
	case d.state == underWay:
		return nil // not before PUBREC; the device will ask again
	default:
		d.uncount()
		delete(e.deliveries, id)
	}
	return p
}

package device

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/quic-go/quic-go"
)

// MQTT 5. A device sends CONNECT with the epoch of the connection as a user
// property and, when the answer is good, SUBSCRIBE and PUBLISH at QoS 1; the
// packets' encoding is paho's, the session is the outbox. Over QUIC all goes on
// one stream, which the device opens.

const (
	propertyID    = "ce-id"          // names a message, and a command
	propertyEpoch = "tidegate-epoch" // numbers the device's connections
)

const (
	packetMost   = 1 << 20                // bytes of a packet from an agent
	readBuffer   = 512                    // bytes
	goodbyeTime  = 300 * time.Millisecond // for the agent to take DISCONNECT
	subscribeTag = 1                      // packet identifier of SUBSCRIBE, not used for messages
)

// talk is where MQTT's bytes go.
type talk interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

type mqttSpeaker struct {
	link    *link
	conn    conn
	talk    talk
	in      *bufio.Reader
	out     chan []byte // packets
	over    chan struct{}
	present bool // the agent knows the session
	largest int  // packet that the agent takes; 0: any

	ending  sync.Once
	read    chan struct{}  // closed when nothing more is read
	writing sync.WaitGroup // the writer

	mu     sync.Mutex // guards what follows
	flying map[uint16]*entry
}

func (v *voyage) greetMQTT(ctx context.Context, l *link, c conn, who Credentials) error {
	s := &mqttSpeaker{link: l, conn: c, over: make(chan struct{}), read: make(chan struct{}), flying: map[uint16]*entry{}}
	if err := s.open(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.talk.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.talk.SetDeadline(time.Now()) })
	answer, err := s.connect(v.connectPacket(who))
	if !stop() || err != nil {
		return fmt.Errorf("MQTT with %s: %w", l.place.Addr, errors.Join(err, ctx.Err()))
	}
	_ = s.talk.SetDeadline(time.Time{})
	if err := s.accepted(answer); err != nil {
		return fmt.Errorf("MQTT with %s: %w", l.place.Addr, err)
	}
	l.speaker = s
	s.out = make(chan []byte, l.limit+2*commandsAtOnce)
	return nil
}

// open finds what to talk on.
func (s *mqttSpeaker) open(ctx context.Context) error {
	switch c := s.conn.(type) {
	case quicConn:
		stream, err := c.OpenStreamSync(ctx)
		if err != nil {
			return fmt.Errorf("open a stream: %w", err)
		}
		s.talk = stream
	case *tlsConn:
		s.talk = c
	}
	s.in = bufio.NewReaderSize(s.talk, readBuffer)
	return nil
}

func (v *voyage) connectPacket(who Credentials) *packets.Connect {
	cfg := &v.client.cfg
	expiry, receive, most := uint32(cfg.SessionExpiry/time.Second), uint16(commandsAtOnce), uint32(packetMost)
	p := &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: v.client.name,
		KeepAlive: uint16((cfg.KeepAlive + time.Second - 1) / time.Second),
		Properties: &packets.Properties{
			SessionExpiryInterval: &expiry, ReceiveMaximum: &receive, MaximumPacketSize: &most,
			User: []packets.User{{Key: propertyEpoch, Value: fmt.Sprint(v.epoch)}},
		},
	}
	if who.Token != "" {
		who.Password = who.Token
	}
	p.Username, p.UsernameFlag = who.Username, who.Username != ""
	p.Password, p.PasswordFlag = []byte(who.Password), who.Password != ""
	return p
}

func (s *mqttSpeaker) connect(p *packets.Connect) (*packets.Connack, error) {
	if _, err := s.talk.Write(encode(p)); err != nil {
		return nil, err
	}
	got, err := s.readPacket()
	if err != nil {
		return nil, err
	}
	answer, ok := got.Content.(*packets.Connack)
	if !ok {
		return nil, fmt.Errorf("%s instead of CONNACK", got.PacketType())
	}
	return answer, nil
}

// accepted takes in the agent's answer to CONNECT.
func (s *mqttSpeaker) accepted(answer *packets.Connack) error {
	pr := answer.Properties
	why := fmt.Errorf("reason code 0x%02x %s", answer.ReasonCode, pr.ReasonString)
	switch answer.ReasonCode {
	case packets.ConnackSuccess:
	case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized, packets.ConnackBanned:
		return fmt.Errorf("%w: %w", ErrCredentials, why)
	case packets.ConnackUseAnotherServer, packets.ConnackServerMoved:
		return &sentAway{farewell{why: fmt.Errorf("%w: %w", ErrLeaving, why), server: pr.ServerReference}}
	default:
		return why
	}
	s.present = answer.SessionPresent
	if pr.ReceiveMaximum != nil {
		s.link.limit = min(s.link.limit, int(*pr.ReceiveMaximum))
	}
	if pr.MaximumPacketSize != nil {
		s.largest = int(*pr.MaximumPacketSize)
	}
	if pr.ServerKeepAlive != nil && *pr.ServerKeepAlive > 0 {
		s.link.keepAlive = time.Duration(*pr.ServerKeepAlive) * time.Second
	}
	return nil
}

// begin starts to talk, when the link is in use.
func (s *mqttSpeaker) begin() {
	c := s.link.client
	s.writing.Add(1)
	c.working.Go(s.write)
	c.working.Go(s.listen)
	if len(c.cfg.Commands) > 0 {
		p := &packets.Subscribe{PacketID: subscribeTag, Properties: &packets.Properties{}}
		for _, filter := range c.cfg.Commands {
			p.Subscriptions = append(p.Subscriptions, packets.SubOptions{Topic: filter, QoS: 1})
		}
		s.say(encode(p))
	}
}

func (s *mqttSpeaker) ping() { s.say(encode(&packets.Pingreq{})) }

// encoder is a packet of paho's.
type encoder interface {
	WriteTo(io.Writer) (int64, error)
}

func encode(p encoder) []byte {
	var b bytes.Buffer
	_, _ = p.WriteTo(&b) // a buffer takes everything
	return b.Bytes()
}

// say hands a packet to the writer. There is room for all that may be under
// way; an agent that takes nothing for so long is none.
func (s *mqttSpeaker) say(packet []byte) {
	select {
	case s.out <- packet:
	default:
		s.end(errors.New("the agent takes nothing"))
	}
}

// write writes what there is together.
func (s *mqttSpeaker) write() {
	defer s.writing.Done()
	w := bufio.NewWriterSize(s.talk, 2<<10)
	for {
		select {
		case <-s.over:
			return
		case packet := <-s.out:
			_, err := w.Write(packet)
			if err == nil && len(s.out) == 0 {
				err = w.Flush()
			}
			if err != nil {
				s.awaitWord()
				s.end(err)
				return
			}
		}
	}
}

// wordTime is how long an agent that takes nothing any more has to say why.
const wordTime = 100 * time.Millisecond

// awaitWord gives way to the agent's last word: over QUIC that it stops reading may
// be known before what it sent ahead of that is read.
func (s *mqttSpeaker) awaitWord() {
	select {
	case <-s.over:
	case <-s.read:
	case <-time.After(wordTime):
	}
}

// end tells the loop, once.
func (s *mqttSpeaker) end(why error) {
	s.ending.Do(func() {
		close(s.over)
		s.link.over(why)
	})
}

func (s *mqttSpeaker) close(politely bool) {
	s.ending.Do(func() { close(s.over) })
	if politely {
		_ = s.talk.SetDeadline(time.Now().Add(goodbyeTime))
		s.writing.Wait()
		_, _ = s.talk.Write(encode(s.goodbye()))
		if _, stream := s.talk.(*quic.Stream); stream {
			_ = s.talk.Close()
			s.awaitEnd()
		}
	}
	s.conn.close()
}

// goodbye ends the session as well where nobody will ask for it again.
func (s *mqttSpeaker) goodbye() *packets.Disconnect {
	p := &packets.Disconnect{Properties: &packets.Properties{}}
	if cfg := &s.link.client.cfg; s.link.client.life.Err() != nil && cfg.ClientID == "" && cfg.Outbox == "" {
		p.Properties.SessionExpiryInterval = new(uint32)
	}
	return p
}

// awaitEnd waits until the agent has read the goodbye.
func (s *mqttSpeaker) awaitEnd() {
	select {
	case <-s.read:
	case <-time.After(goodbyeTime):
	}
}

// send publishes a message at QoS 1. One that this agent's session knows goes by
// the same packet identifier, so that it is not delivered twice.
func (s *mqttSpeaker) send(e *entry, m *Message) {
	id, again := s.number(e)
	p := &packets.Publish{Topic: m.Topic, Payload: m.Payload, QoS: 1, PacketID: id, Duplicate: again,
		Properties: &packets.Properties{ContentType: m.ContentType, User: []packets.User{{Key: propertyID, Value: m.ID}}}}
	for name, value := range m.Properties {
		p.Properties.User = append(p.Properties.User, packets.User{Key: name, Value: value})
	}
	packet := encode(p)
	if s.largest > 0 && len(packet) > s.largest {
		s.landed(id)
		s.link.answer(e, outcome{refused, fmt.Sprintf("a packet of %d bytes, the agent takes %d", len(packet), s.largest), 0})
		return
	}
	s.say(packet)
}

// number gives a message its packet identifier. It runs in the loop.
func (s *mqttSpeaker) number(e *entry) (id uint16, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present && e.place == s.link.place && s.flying[e.packet] == nil {
		s.flying[e.packet] = e
		return e.packet, true
	}
	last := &s.link.client.packet
	for *last++; *last <= subscribeTag || s.flying[*last] != nil; {
		*last++
	}
	s.flying[*last] = e
	e.place, e.packet = s.link.place, *last
	return *last, false
}

// landed returns the message that went by an identifier.
func (s *mqttSpeaker) landed(id uint16) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.flying[id]
	delete(s.flying, id)
	return e
}

// listen reads until the connection ends.
func (s *mqttSpeaker) listen() {
	defer close(s.read)
	for {
		p, err := s.readPacket()
		if err != nil {
			s.end(plain(err))
			return
		}
		if goodbye, ok := p.Content.(*packets.Disconnect); ok {
			w := disconnectFarewell(goodbye)
			s.link.leave(w)
			s.end(w.why)
			return
		}
		s.hear(p)
	}
}

func (s *mqttSpeaker) hear(p *packets.ControlPacket) {
	switch p := p.Content.(type) {
	case *packets.Puback:
		if e := s.landed(p.PacketID); e != nil {
			s.link.answer(e, pubackOutcome(p))
		}
	case *packets.Publish:
		s.command(p)
	case *packets.Suback:
		s.link.subscribed(subackError(p, s.link.client.cfg.Commands))
	}
}

func pubackOutcome(p *packets.Puback) outcome {
	o := outcome{reason: fmt.Sprintf("0x%02x %s", p.ReasonCode, p.Properties.ReasonString)}
	switch {
	case p.ReasonCode < 0x80:
		return outcome{}
	case p.ReasonCode == packets.PubackQuotaExceeded:
		o.result, o.after = busy, time.Second // MQTT has no word for how long
	case p.ReasonCode == packets.PubackUnspecifiedError || p.ReasonCode == packets.PubackPacketIdentifierInUse:
		o.result = failed
	default:
		o.result = refused
	}
	return o
}

func subackError(p *packets.Suback, filters []string) error {
	for i, code := range p.Reasons {
		if code >= 0x80 && i < len(filters) {
			return fmt.Errorf("%w: %s: 0x%02x %s", ErrSubscription, filters[i], code, p.Properties.ReasonString)
		}
	}
	return nil
}

func disconnectFarewell(p *packets.Disconnect) farewell {
	why := fmt.Errorf("%w: 0x%02x %s", ErrLeaving, p.ReasonCode, p.Properties.ReasonString)
	if p.ReasonCode == packets.DisconnectSessionTakenOver {
		why = ErrTakenOver
	}
	return farewell{why: why, server: p.Properties.ServerReference}
}

// command hands a command to the handler. At QoS 1 there is room for it: the
// agent knows how many may be under way.
func (s *mqttSpeaker) command(p *packets.Publish) {
	cmd := Command{Topic: p.Topic, ContentType: p.Properties.ContentType, Payload: p.Payload}
	for _, u := range p.Properties.User {
		if u.Key == propertyID {
			cmd.ID = u.Value
			continue
		}
		if cmd.Properties == nil {
			cmd.Properties = map[string]string{}
		}
		cmd.Properties[u.Key] = u.Value
	}
	answer := func(err error) {
		if p.QoS > 0 {
			s.say(encode(puback(p.PacketID, err)))
		}
	}
	select {
	case s.link.client.orders <- order{cmd, answer}:
	default:
		s.link.client.cfg.Logger.Warn("too many commands at once: one is not taken", "topic", p.Topic)
	}
}

func puback(id uint16, err error) *packets.Puback {
	p := &packets.Puback{PacketID: id, Properties: &packets.Properties{}}
	if err != nil {
		p.ReasonCode = packets.PubackImplementationSpecificError
		p.Properties.ReasonString = clip(err.Error(), 256)
	}
	return p
}

// readPacket reads one that is not too large.
func (s *mqttSpeaker) readPacket() (*packets.ControlPacket, error) { return readPacket(s.in) }

var errPacket = errors.New("not a packet of MQTT")

func readPacket(r *bufio.Reader) (p *packets.ControlPacket, err error) {
	if err := checkLength(r); err != nil {
		return nil, err
	}
	defer func() {
		if bug := recover(); bug != nil { // the decoder's
			p, err = nil, fmt.Errorf("%w: %v", errPacket, bug)
		}
	}()
	return packets.ReadPacket(r)
}

// checkLength looks at the remaining length (MQTT 5.0, section 2.1.4), because
// the decoder makes room for whatever it says.
func checkLength(r *bufio.Reader) error {
	length := 0
	for i := 1; i <= 4; i++ {
		head, err := r.Peek(i + 1)
		if err != nil {
			return err
		}
		length |= int(head[i]&0x7f) << (7 * (i - 1))
		if head[i] < 0x80 {
			if length > packetMost {
				return fmt.Errorf("%w: %d bytes", errPacket, length)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: a length of more than four bytes", errPacket)
}

func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return s
}

// plain explains errors of connections that ended.
func plain(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return errors.New("the agent closed the connection")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer in time")
	}
	return err
}

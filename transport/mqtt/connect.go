package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

const (
	connectMost  = 64 << 10 // bytes of CONNECT: a will and a token fit
	clientIDMost = 256      // bytes of a client identifier
	patience     = 1.5      // times the keep-alive that a device may be silent (MQTT 5.0, section 3.1.2.10)
)

// connect takes CONNECT and answers it; false: the connection is over.
func (c *conn) connect() bool {
	if c.link.SetReadDeadline(time.Now().Add(c.srv.cfg.Limits.ConnectTimeout)) != nil {
		return false
	}
	p, err := readPacket(c.r, 4, min(connectMost, c.srv.cfg.Limits.MaxPacket))
	if p != nil && p.FixedHeader.Type == packets.Connect {
		c.version = p.ProtocolVersion
	}
	switch {
	case err == packets.ErrProtocolViolationProtocolVersion || err == nil && c.version == 3:
		return c.refuse(packets.ErrUnsupportedProtocolVersion)
	case err != nil || c.version == 0:
		c.srv.metrics.violation(packets.ErrMalformedPacket.Code)
		return false // whoever that is does not speak MQTT
	}
	if code := c.unfit(p); code.Code != 0 {
		return c.refuse(code)
	}
	device, ok := c.identify(p)
	if !ok {
		return false
	}
	c.taking.Lock()
	defer c.taking.Unlock()
	return !c.drained.Load() && c.open(p, device)
}

// unfit says what is asked for and not served.
func (c *conn) unfit(p *packets.Packet) packets.Code {
	id := p.Connect.ClientIdentifier
	switch {
	case len(id) > clientIDMost, id == "" && c.version == 4 && !p.Connect.Clean:
		return packets.ErrClientIdentifierNotValid
	case p.Properties.AuthenticationMethod != "":
		return packets.ErrBadAuthenticationMethod
	case p.Connect.WillFlag && p.Connect.WillRetain && c.version == 5:
		return packets.ErrRetainNotSupported
	case p.Connect.WillFlag && !fitTopic(p.Connect.WillTopic):
		return packets.ErrTopicNameInvalid
	}
	return packets.CodeSuccess
}

func (c *conn) identify(p *packets.Packet) (d policy.Device, ok bool) {
	ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.Limits.ConnectTimeout)
	defer cancel()
	d, err := c.srv.cfg.Handler.Identify(ctx, *c.link.TLS, Credentials{
		Username: string(p.Connect.Username), Password: string(p.Connect.Password), ClientID: p.Connect.ClientIdentifier, Client: c.link.RemoteAddr(),
	})
	if err == nil && c.link.Known != nil && d.ID != "" {
		err = c.link.Known(d)
	}
	if err != nil {
		c.srv.log.Debug("device refused", "remote", c.link.RemoteAddr(), "error", err)
		if errors.Is(err, transport.ErrBusy) {
			return d, c.refuse(packets.ErrServerBusy)
		}
		return d, c.refuse(packets.ErrBadUsernameOrPassword)
	}
	return d, true
}

// open gives the connection its session and says so.
func (c *conn) open(p *packets.Packet, d policy.Device) bool {
	l := c.srv.cfg.Limits
	id, assigned := p.Connect.ClientIdentifier, false
	if id == "" {
		id, assigned = rand.Text(), true
	}
	if pr := &p.Properties; c.version == 5 {
		c.mods = packets.Mods{MaxSize: pr.MaximumPacketSize, DisallowProblemInfo: pr.RequestProblemInfoFlag && pr.RequestProblemInfo == 0}
	}
	c.device, c.epoch = d, epochOf(p)
	c.window = l.InFlight
	if most := int(p.Properties.ReceiveMaximum); c.version == 5 && most > 0 {
		c.window = min(c.window, most)
	}
	ack := c.packet(packets.Connack)
	keepAlive := c.keepAlive(p, ack)
	c.patient = time.Duration(patience * float64(keepAlive))
	expiry, asked := c.expiry(p)
	key := sessionKey{d.ID, strings.Clone(id)} // not all of the packet
	if d.ID == "" {
		key.client, expiry = rand.Text(), 0 // nobody knows whether the next one is the same
	}
	c.will = c.willOf(p)
	// Nothing is to be sent before the answer.
	c.writing.Lock()
	defer c.writing.Unlock()
	present, busy := c.srv.open(c, key, p.Connect.Clean, expiry)
	if busy {
		return c.refuseLocked(packets.ErrServerBusy)
	}
	ack.SessionPresent = present
	if c.version == 5 {
		pr := &ack.Properties
		if assigned {
			pr.AssignedClientID = id
		}
		if expiry != asked {
			pr.SessionExpiryInterval, pr.SessionExpiryIntervalFlag = uint32(expiry/time.Second), true
		}
		pr.ReceiveMaximum, pr.MaximumPacketSize, pr.TopicAliasMaximum = uint16(l.InFlight), uint32(l.MaxPacket), uint16(l.TopicAliases)
		pr.RetainAvailableFlag, pr.SharedSubAvailableFlag, pr.SubIDAvailableFlag = true, true, true
	}
	if c.write(ack) != nil {
		return false
	}
	c.session.kick() // what waited is sent after this answer
	return true
}

// propertyEpoch is the user property by which a device numbers its connections.
const propertyEpoch = "tidegate-epoch"

func epochOf(p *packets.Packet) uint64 {
	for _, u := range p.Properties.User {
		if u.Key == propertyEpoch {
			n, _ := strconv.ParseUint(u.Val, 10, 64)
			return n
		}
	}
	return 0
}

// keepAlive is how often the device will be heard, 0: it does not say. Those of
// MQTT 5 are told when it is to be more often.
func (c *conn) keepAlive(p, ack *packets.Packet) time.Duration {
	asked, most := time.Duration(p.Connect.Keepalive)*time.Second, c.srv.cfg.Limits.KeepAlive
	if c.link.Silence > 0 {
		most = min(most, max(time.Second, c.link.Silence/2))
	}
	if c.version == 5 && (asked == 0 || asked > most) {
		ack.Properties.ServerKeepAlive, ack.Properties.ServerKeepAliveFlag = uint16(most/time.Second), true
		return most
	}
	return asked
}

// expiry is how long the session outlives the connection, and what was asked for.
func (c *conn) expiry(p *packets.Packet) (given, asked time.Duration) {
	if c.version == 5 {
		asked = time.Duration(p.Properties.SessionExpiryInterval) * time.Second
		return c.srv.expiry(p.Properties.SessionExpiryInterval), asked
	}
	if !p.Connect.Clean {
		return c.srv.cfg.Limits.SessionExpiry, c.srv.cfg.Limits.SessionExpiry
	}
	return 0, 0
}

func (s *Server) expiry(asked uint32) time.Duration {
	if asked == math.MaxUint32 { // never
		return s.cfg.Limits.SessionExpiry
	}
	return min(time.Duration(asked)*time.Second, s.cfg.Limits.SessionExpiry)
}

// refuse answers CONNECT with a reason and returns false.
func (c *conn) refuse(code packets.Code) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.refuseLocked(code)
}

func (c *conn) refuseLocked(code packets.Code) bool {
	c.srv.metrics.refuse(code.Code)
	p := c.packet(packets.Connack)
	if p.ReasonCode = code.Code; c.version != 5 {
		p.ProtocolVersion = 4
		p.ReasonCode = oldCode(code)
	}
	_ = c.write(p)
	return false
}

// oldCode is the return code of MQTT 3.1.1, section 3.2.2.3.
func oldCode(code packets.Code) byte {
	switch code {
	case packets.ErrUnsupportedProtocolVersion:
		return 1
	case packets.ErrClientIdentifierNotValid:
		return 2
	case packets.ErrBadUsernameOrPassword, packets.ErrNotAuthorized:
		return 5
	}
	return 3
}

package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/mochi-mqtt/server/v2/packets"
)

// errMalformed is the kind of errors about bytes that are no packet.
var errMalformed = errors.New("malformed packet")

// readPacket reads one packet of a client, of at most max bytes, in the form of
// the protocol version. What it returns shares no memory with the reader.
func readPacket(r *bufio.Reader, version byte, max int) (*packets.Packet, error) {
	p, body, err := readFrame(r, version, max)
	if err != nil {
		return nil, err
	}
	return p, decode(p, body)
}

// readFrame reads a packet's fixed header, and its body as it is.
func readFrame(r *bufio.Reader, version byte, max int) (p *packets.Packet, body []byte, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, nil, err
	}
	p = &packets.Packet{ProtocolVersion: version}
	if err := p.FixedHeader.Decode(first); err != nil {
		return nil, nil, err
	}
	if p.FixedHeader.Remaining, err = readLength(r); err != nil {
		return nil, nil, err
	}
	if p.FixedHeader.Remaining > max {
		return nil, nil, packets.ErrPacketTooLarge
	}
	// Memory follows what arrives, not what the header claims.
	var arrived bytes.Buffer
	_, err = io.CopyN(&arrived, r, int64(p.FixedHeader.Remaining))
	return p, arrived.Bytes(), err
}

// readLength reads a variable byte integer (MQTT 5.0, section 1.5.5).
func readLength(r io.ByteReader) (n int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			return n, nil
		}
	}
	return 0, packets.ErrMalformedVariableByteInteger
}

// decode guards the codec, which reads past the end of some cut packets.
func decode(p *packets.Packet, body []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errMalformed, r)
		}
	}()
	switch p.FixedHeader.Type {
	case packets.Connect:
		if err = p.ConnectDecode(body); err == nil {
			err = checkConnect(p)
		}
	case packets.Publish:
		if err = p.PublishDecode(body); err == nil && p.ProtocolVersion == 5 && p.Properties.TopicAliasFlag && p.Properties.TopicAlias == 0 {
			err = packets.ErrTopicAliasInvalid
		}
	case packets.Puback:
		err = p.PubackDecode(body)
	case packets.Pubrec:
		err = p.PubrecDecode(body)
	case packets.Pubrel:
		err = p.PubrelDecode(body)
	case packets.Pubcomp:
		err = p.PubcompDecode(body)
	case packets.Subscribe:
		if err = p.SubscribeDecode(body); err == nil {
			err = fault(p.SubscribeValidate())
		}
	case packets.Unsubscribe:
		if err = p.UnsubscribeDecode(body); err == nil {
			err = fault(p.UnsubscribeValidate())
		}
	case packets.Pingreq:
	case packets.Disconnect:
		if err = p.DisconnectDecode(body); len(body) == 1 { // a reason without properties, which the codec passes over
			p.ReasonCode = body[0]
		}
	case packets.Auth:
		err = packets.ErrBadAuthenticationMethod // none was agreed on
	default:
		err = packets.ErrProtocolViolation
	}
	return err
}

// checkConnect says what a CONNECT must not be (MQTT 5.0, section 3.1).
func checkConnect(p *packets.Packet) error {
	c := &p.Connect
	name := string(c.ProtocolName)
	switch {
	case name != "MQTT" && name != "MQIsdp":
		return packets.ErrProtocolViolationProtocolName
	case (name == "MQIsdp") != (p.ProtocolVersion == 3), p.ProtocolVersion < 3, p.ProtocolVersion > 5:
		return packets.ErrProtocolViolationProtocolVersion
	case p.ReservedBit != 0:
		return packets.ErrProtocolViolationReservedBit
	case c.WillQos > 2, !c.WillFlag && (c.WillQos > 0 || c.WillRetain):
		return packets.ErrProtocolViolationQosOutOfRange
	case p.ProtocolVersion == 4 && c.PasswordFlag && !c.UsernameFlag:
		return packets.ErrProtocolViolationFlagNoUsername
	}
	return nil
}

func fault(c packets.Code) error {
	if c.Code == packets.CodeSuccess.Code {
		return nil
	}
	return c
}

// encode returns the bytes of a packet that a server sends.
func encode(p *packets.Packet) ([]byte, error) {
	var buf bytes.Buffer
	var err error
	switch p.FixedHeader.Type {
	case packets.Connack:
		err = p.ConnackEncode(&buf)
	case packets.Publish:
		err = p.PublishEncode(&buf)
	case packets.Puback:
		err = p.PubackEncode(&buf)
	case packets.Pubrec:
		err = p.PubrecEncode(&buf)
	case packets.Pubcomp:
		err = p.PubcompEncode(&buf)
	case packets.Suback:
		err = p.SubackEncode(&buf)
	case packets.Unsuback:
		err = p.UnsubackEncode(&buf)
	case packets.Pingresp:
		err = p.PingrespEncode(&buf)
	case packets.Disconnect:
		err = p.DisconnectEncode(&buf)
	default:
		err = fmt.Errorf("%w: type %d is not for a server to send", errMalformed, p.FixedHeader.Type)
	}
	return buf.Bytes(), err
}

// codeOf is the reason code of MQTT 5 for an error of the codec or of ours.
func codeOf(err error) byte {
	if code, ok := errors.AsType[packets.Code](err); ok {
		return code.Code
	}
	return packets.ErrMalformedPacket.Code
}

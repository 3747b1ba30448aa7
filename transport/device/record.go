package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// A record is a message in the outbox's file: a CRC-32C of what follows, four
// bytes, big-endian, then fields in the encoding of protocol buffers. Fields of
// later versions are skipped.
const (
	fieldID       protowire.Number = 1
	fieldTopic    protowire.Number = 2
	fieldType     protowire.Number = 3
	fieldPayload  protowire.Number = 4
	fieldProperty protowire.Number = 5 // name, then value, each with its length
	fieldExpires  protowire.Number = 6 // Unix nanoseconds
	checksumBytes                  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeRecord(m *Message) []byte {
	b := make([]byte, checksumBytes, checksumBytes+m.size())
	b = appendText(b, fieldID, m.ID)
	b = appendText(b, fieldTopic, m.Topic)
	b = appendText(b, fieldType, m.ContentType)
	if len(m.Payload) > 0 {
		b = protowire.AppendTag(b, fieldPayload, protowire.BytesType)
		b = protowire.AppendBytes(b, m.Payload)
	}
	for name, value := range m.Properties {
		pair := protowire.AppendString(protowire.AppendString(nil, name), value)
		b = protowire.AppendTag(b, fieldProperty, protowire.BytesType)
		b = protowire.AppendBytes(b, pair)
	}
	if !m.Expires.IsZero() {
		b = protowire.AppendTag(b, fieldExpires, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(m.Expires.UnixNano()))
	}
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[checksumBytes:], castagnoli))
	return b
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

var errDamaged = errors.New("damaged record")

// decodeRecord shares no memory with b.
func decodeRecord(b []byte) (*Message, error) {
	if len(b) < checksumBytes {
		return nil, fmt.Errorf("%w of %d bytes", errDamaged, len(b))
	}
	sum, b := binary.BigEndian.Uint32(b), b[checksumBytes:]
	if got := crc32.Checksum(b, castagnoli); got != sum {
		return nil, fmt.Errorf("%w: checksum %08x, expected %08x", errDamaged, got, sum)
	}
	m := &Message{}
	for len(b) > 0 {
		n := m.decodeField(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", errDamaged, protowire.ParseError(n))
		}
		b = b[n:]
	}
	if m.ID == "" || m.Topic == "" {
		return nil, fmt.Errorf("%w: no id or no topic", errDamaged)
	}
	return m, nil
}

// decodeField returns how many bytes the field took, or protowire's error code.
func (m *Message) decodeField(b []byte) int {
	field, kind, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return tag
	}
	b = b[tag:]
	if field == fieldExpires && kind == protowire.VarintType {
		at, n := protowire.ConsumeVarint(b)
		m.Expires = time.Unix(0, int64(at))
		return sum(tag, n)
	}
	if kind != protowire.BytesType {
		return sum(tag, protowire.ConsumeFieldValue(field, kind, b))
	}
	value, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return n
	}
	switch field {
	case fieldID:
		m.ID = string(value)
	case fieldTopic:
		m.Topic = string(value)
	case fieldType:
		m.ContentType = string(value)
	case fieldPayload:
		m.Payload = append([]byte(nil), value...)
	case fieldProperty:
		if bad := m.decodeProperty(value); bad < 0 {
			return bad
		}
	}
	return tag + n
}

func (m *Message) decodeProperty(b []byte) int {
	name, n := protowire.ConsumeString(b)
	if n < 0 {
		return n
	}
	value, n := protowire.ConsumeString(b[n:])
	if n < 0 {
		return n
	}
	if m.Properties == nil {
		m.Properties = map[string]string{}
	}
	m.Properties[name] = value
	return 0
}

func sum(tag, n int) int {
	if n < 0 {
		return n
	}
	return tag + n
}

package device

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what a device publishes.
type Message struct {
	// ID names the message towards services ("ce-id"), so that they notice when
	// it comes twice. It never changes, whatever happens on the way. Default: 26
	// random characters. At most 256 bytes, printable ASCII.
	ID string
	// Topic is where it goes: levels separated by slashes, without wildcards, at
	// most 4 KiB.
	Topic string
	// ContentType of the payload, such as application/json. Empty: unknown.
	ContentType string
	Payload     []byte
	// Properties are user properties of MQTT, header fields of HTTP. At most 128.
	Properties map[string]string
	// Expires is when the message is no longer worth sending. Zero: never.
	Expires time.Time
}

// Command is a message to the device.
type Command struct {
	// ID is the same when the command is delivered again; empty: unknown.
	ID          string
	Topic       string
	ContentType string
	Payload     []byte
	Properties  map[string]string
}

const (
	topicMost      = 4 << 10
	idMost         = 256
	propertiesMost = 128
	overhead       = 64 // of memory or file, for each message
)

// complete returns the message as it is kept: with an id, and sharing no memory
// with the caller.
func (m Message) complete(payloadMost int) (*Message, error) {
	if m.ID == "" {
		m.ID = rand.Text()
	}
	if err := m.check(payloadMost); err != nil {
		return nil, err
	}
	m.Payload = slices.Clone(m.Payload)
	m.Properties = maps.Clone(m.Properties)
	return &m, nil
}

func (m *Message) check(payloadMost int) error {
	switch {
	case m.Topic == "" || len(m.Topic) > topicMost:
		return fmt.Errorf("%w: topic of %d bytes: use 1 to %d", ErrInvalid, len(m.Topic), topicMost)
	case strings.ContainsAny(m.Topic, "+#"):
		return fmt.Errorf("%w: topic %.80q has a wildcard: those are for subscriptions", ErrInvalid, m.Topic)
	case !speakable(m.Topic):
		return fmt.Errorf("%w: topic %.80q: use UTF-8 without control characters", ErrInvalid, m.Topic)
	case len(m.ID) > idMost || !printable(m.ID):
		return fmt.Errorf("%w: id %.80q: use 1 to %d printable ASCII characters, no quotes or backslashes", ErrInvalid, m.ID, idMost)
	case !printable(m.ContentType):
		return fmt.Errorf("%w: content type %.80q: use printable ASCII", ErrInvalid, m.ContentType)
	case len(m.Payload) > payloadMost:
		return fmt.Errorf("%w: payload of %d bytes: at most %d (MaxPayload)", ErrInvalid, len(m.Payload), payloadMost)
	case len(m.Properties) > propertiesMost:
		return fmt.Errorf("%w: %d properties: at most %d", ErrInvalid, len(m.Properties), propertiesMost)
	}
	for name, value := range m.Properties {
		if name == "" || name == propertyID || len(name)+len(value) > topicMost || !speakable(name) || !speakable(value) {
			return fmt.Errorf("%w: property %.80q: use UTF-8 without control characters, at most %d bytes, and not %q", ErrInvalid, name, topicMost, propertyID)
		}
	}
	return nil
}

// speakable says whether MQTT may carry a string (MQTT 5.0, section 1.5.4).
func speakable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// size is what a message takes of the outbox, in bytes.
func (m *Message) size() int {
	n := overhead + len(m.ID) + len(m.Topic) + len(m.ContentType) + len(m.Payload)
	for name, value := range m.Properties {
		n += len(name) + len(value)
	}
	return n
}

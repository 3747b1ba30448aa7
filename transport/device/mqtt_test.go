package device

import (
	"bufio"
	"bytes"
	"errors"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

func TestAPacketThatIsTooLargeIsNotRead(t *testing.T) {
	for name, b := range map[string][]byte{
		"256 MB":               {packets.PUBLISH << 4, 0xff, 0xff, 0xff, 0x7f},
		"a byte too much":      {packets.PUBLISH << 4, 0x81, 0x80, 0x40, 0x00}, // 1 MiB and 1
		"a length without end": {packets.PUBLISH << 4, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, err := readPacket(bufio.NewReader(bytes.NewReader(b))); !errors.Is(err, errPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range []encoder{
		&packets.Connack{ReasonCode: 0x9c, Properties: &packets.Properties{ServerReference: "a:1"}},
		&packets.Publish{Topic: "t", QoS: 1, PacketID: 7, Payload: []byte("x"), Properties: &packets.Properties{User: []packets.User{{Key: "ce-id", Value: "1"}}}},
		&packets.Puback{PacketID: 7, ReasonCode: 0x97, Properties: &packets.Properties{ReasonString: "because"}},
		&packets.Suback{PacketID: 1, Reasons: []byte{0x87}, Properties: &packets.Properties{}},
		&packets.Disconnect{ReasonCode: 0x9d, Properties: &packets.Properties{ServerReference: "a:1 b:2"}},
		&packets.Pingresp{},
	} {
		f.Add(encode(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			p, err := readPacket(r)
			if err != nil {
				return
			}
			switch p := p.Content.(type) {
			case *packets.Puback:
				if o := pubackOutcome(p); (o.result == accepted) != (p.ReasonCode < 0x80) {
					t.Errorf("%02x: %+v", p.ReasonCode, o)
				}
			case *packets.Suback:
				_ = subackError(p, []string{"a"})
			case *packets.Disconnect:
				_ = disconnectFarewell(p)
			}
		}
	})
}

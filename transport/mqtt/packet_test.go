package mqtt

import (
	"bufio"
	"bytes"
	"testing"
)

// Whatever a stranger sends is a packet or an error, takes no more memory than
// was sent, and never panics.
func FuzzReadPacket(f *testing.F) {
	for _, seed := range [][]byte{
		{0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 2, 'c', '1'},
		{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 2, 'c', '1'},
		{0x32, 8, 0, 1, 'a', 0, 7, 0, 'x', 'y'},
		{0x32, 18, 0, 1, 'a', 0, 7, 11, 0x26, 0, 1, 'k', 0, 1, 'v', 0x23, 0, 1, 0x01, 'x'},
		{0x62, 2, 0, 7}, {0x82, 7, 0, 1, 0, 0, 1, 'a', 1}, {0x82, 6, 0, 1, 0, 0, 1, 'a'}, {0xa2, 6, 0, 1, 0, 0, 1, 'a'},
		{0xc0, 0}, {0xe0, 2, 0x04, 0}, {0xf0, 2, 0x18, 0}, {0x30, 0x80, 0x80, 0x80, 0x80, 1},
	} {
		f.Add(seed, byte(5))
		f.Add(seed, byte(4))
	}
	const most = 1 << 10
	f.Fuzz(func(t *testing.T, raw []byte, version byte) {
		r := bufio.NewReader(bytes.NewReader(raw))
		for {
			p, err := readPacket(r, version, most)
			if err != nil {
				_ = codeOf(err)
				return
			}
			if p.FixedHeader.Remaining > most || len(p.Payload) > len(raw) {
				t.Fatalf("%+v", p)
			}
		}
	})
}

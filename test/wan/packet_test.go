//go:build linux

package wan

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

func packet4(size int, flags uint16) []byte {
	p := make([]byte, size)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	binary.BigEndian.PutUint16(p[6:], flags)
	copy(p[12:], []byte{10, 99, 1, 1, 10, 99, 2, 7})
	for i := header4; i < size; i++ {
		p[i] = byte(i % 251)
	}
	seal4(p[:header4])
	return p
}

func TestFragmentsMakeTheWholeAgain(t *testing.T) {
	whole := packet4(1401, 0)
	var body []byte
	for i, piece := range fragment(whole, 577) {
		field := binary.BigEndian.Uint16(piece[6:])
		if int(field&offsetBits)*8 != len(body) || len(piece) > 577 || int(binary.BigEndian.Uint16(piece[2:])) != len(piece) {
			t.Errorf("piece %d: %d bytes at %d", i, len(piece), field&offsetBits*8)
		}
		body = append(body, piece[header4:]...)
		if last := field&moreFollow == 0; last != (len(body) == len(whole)-header4) {
			t.Errorf("piece %d is the last: %v", i, last)
		}
	}
	if !bytes.Equal(body, whole[header4:]) {
		t.Error("they differ from the whole")
	}
}

func TestAddressesNameRegions(t *testing.T) {
	r := &Region{number: 7}
	for _, a := range []int{numberOf(r.Addr(3)), numberOf(r.Addr6(3))} {
		if a != 7 {
			t.Errorf("region %d", a)
		}
	}
	if destination(packet4(40, 0)) != 2 || destination([]byte{0x45}) != 0 || destination(nil) != 0 {
		t.Error("destinations of packets")
	}
}

func FuzzPackets(f *testing.F) {
	f.Add(packet4(1400, 0), 576)
	f.Add(packet4(1400, dontFragment), 576)
	f.Add(append([]byte{0x60}, make([]byte, 1399)...), 1280)
	f.Fuzz(func(t *testing.T, packet []byte, mtu int) {
		if _, _, ok := addresses(packet); !ok || mtu < minMTU || len(packet) <= mtu {
			return
		}
		l := &link{from: &Region{number: 1}, profile: Profile{MTU: mtu}}
		fragments, answer := l.tooBig(packet)
		for _, p := range append(fragments, answer) {
			if len(p) > max(mtu, 1280) {
				t.Errorf("%d bytes through an MTU of %d", len(p), mtu)
			}
		}
	})
}

func TestLossIsTheShareSetAndComesInBursts(t *testing.T) {
	for _, p := range []Profile{{Loss: 0.05}, {Loss: 0.05, Burst: 10}, {Loss: 0.2, Burst: 20, BurstLoss: 0.5}} {
		c := chance{dice: rand.New(rand.NewPCG(1, 1))}
		const packets = 1_000_000
		lost, pairs, before := 0, 0, false
		for range packets {
			now := c.lost(&p)
			if now {
				lost++
				if before {
					pairs++
				}
			}
			before = now
		}
		again := float64(pairs) / float64(lost) // a lost packet follows a lost one
		want := p.Loss
		if p.Burst > 1 {
			want = p.burstLoss() * (1 - 1/p.Burst)
		}
		if !near(float64(lost)/packets, p.Loss) || math.Abs(again-want) > 0.02 {
			t.Errorf("%s: lost %.4f, again %.3f, want %.3f", p.String(), float64(lost)/packets, again, want)
		}
	}
}

//go:build linux

package wan

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	header4      = 20 // bytes of an IPv4 header without options (RFC 791, 3.1)
	header6      = 40 // of an IPv6 header (RFC 8200, 3)
	dontFragment = 0x4000
	moreFollow   = 0x2000
	offsetBits   = 0x1fff
)

// addresses of an IP packet; false when it is none.
func addresses(p []byte) (from, to netip.Addr, ok bool) {
	switch {
	case len(p) >= header4 && p[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:])), true
	case len(p) >= header6 && p[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), true
	}
	return from, to, false
}

// tooBig returns the fragments of a packet that is larger than the MTU, or, when
// it must not be fragmented, the answer to its sender.
func (l *link) tooBig(packet []byte) (fragments [][]byte, answer []byte) {
	mtu := l.profile.MTU
	if packet[0]>>4 == 6 {
		return nil, tooBig6(packet, mtu, l.from.Addr6(routerHost))
	}
	if binary.BigEndian.Uint16(packet[6:])&dontFragment != 0 {
		return nil, tooBig4(packet, mtu, l.from.Addr(routerHost))
	}
	return fragment(packet, mtu), nil
}

// routerHost is the host part of the address that the router answers from.
const routerHost = 254

// tooBig4 is "fragmentation needed and DF set" with the MTU of the next hop
// (RFC 1191, 4).
func tooBig4(packet []byte, mtu int, router netip.Addr) []byte {
	size := int(packet[0]&15)*4 + 8 // the header and 64 bits of what follows (RFC 792)
	body := binary.BigEndian.AppendUint32(nil, uint32(mtu))
	body = append(body, packet[:min(size, len(packet))]...)
	message := icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 4, Body: &icmp.RawBody{Data: body}}
	raw, err := message.Marshal(nil)
	if err != nil {
		return nil
	}
	out := make([]byte, header4, header4+len(raw))
	out[0], out[8], out[9] = 4<<4|header4/4, 64, 1 // 64 hops, ICMP
	binary.BigEndian.PutUint16(out[2:], uint16(header4+len(raw)))
	copy(out[12:], router.AsSlice())
	copy(out[16:], packet[12:16])
	seal4(out)
	return append(out, raw...)
}

// tooBig6 is "packet too big" (RFC 4443, 3.2).
func tooBig6(packet []byte, mtu int, router netip.Addr) []byte {
	const least = 1280 // every IPv6 packet of that size passes (RFC 8200, 5)
	mtu = max(mtu, least)
	from, _, _ := addresses(packet)
	most := least - header6 - 8
	message := icmp.Message{Type: ipv6.ICMPTypePacketTooBig, Body: &icmp.PacketTooBig{MTU: mtu, Data: packet[:min(most, len(packet))]}}
	raw, err := message.Marshal(icmp.IPv6PseudoHeader(router.AsSlice(), from.AsSlice()))
	if err != nil {
		return nil
	}
	out := make([]byte, header6, header6+len(raw))
	out[0], out[6], out[7] = 6<<4, 58, 64 // ICMPv6, 64 hops
	binary.BigEndian.PutUint16(out[4:], uint16(len(raw)))
	copy(out[8:], router.AsSlice())
	copy(out[24:], from.AsSlice())
	return append(out, raw...)
}

// fragment cuts an IPv4 packet into pieces of at most mtu bytes (RFC 791, 3.2).
// Options go with every piece.
func fragment(packet []byte, mtu int) (pieces [][]byte) {
	head := int(packet[0]&15) * 4
	if head < header4 || head > len(packet) || head+8 > mtu {
		return nil
	}
	field := binary.BigEndian.Uint16(packet[6:])
	room := (mtu - head) &^ 7
	for at := head; at < len(packet); at += room {
		end := min(at+room, len(packet))
		piece := append(append(make([]byte, 0, head+end-at), packet[:head]...), packet[at:end]...)
		place := field&offsetBits + uint16((at-head)/8)
		if end < len(packet) || field&moreFollow != 0 {
			place |= moreFollow
		}
		binary.BigEndian.PutUint16(piece[2:], uint16(len(piece)))
		binary.BigEndian.PutUint16(piece[6:], place)
		seal4(piece[:head])
		pieces = append(pieces, piece)
	}
	return pieces
}

// seal4 puts the checksum into an IPv4 header (RFC 1071).
func seal4(header []byte) {
	header[10], header[11] = 0, 0
	sum := uint32(0)
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}

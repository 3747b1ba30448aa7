package transport

import (
	"encoding/binary"
	"errors"
)

// The probe protocol, ALPN "tidegate-probe/1", on a QUIC connection of its own:
//
//	datagram, prober → peer:  1 | seq (8 bytes, big endian) | ignored
//	datagram, peer → prober:  2 | seq | status (0 to 200 bytes)
//	stream, prober → peer:    1 | have     "your newest vector, please; I have
//	                                       this" (0 to 32 bytes), then FIN
//	        peer → prober:    the frames   0 bytes to 1 MiB, then FIN
//
// Datagrams of another kind come from a newer agent and are ignored.
const (
	probePing     = 1
	probePong     = 2
	probeHeader   = 9
	maxStatus     = 200
	maxVector     = 1 << 20
	maxHave       = 32
	requestVector = 1
)

var errBadProbe = errors.New("malformed probe")

func appendPing(dst []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, probePing), seq)
}

// appendVectorRequest leaves out a have that is too long: all of the vector is
// asked for then.
func appendVectorRequest(dst, have []byte) []byte {
	dst = append(dst, requestVector)
	if len(have) > maxHave {
		return dst
	}
	return append(dst, have...)
}

// appendPong leaves out a status that is too long.
func appendPong(dst []byte, seq uint64, status []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, probePong), seq)
	if len(status) > maxStatus {
		return dst
	}
	return append(dst, status...)
}

func parsePing(datagram []byte) (seq uint64, err error) {
	if len(datagram) < probeHeader || datagram[0] != probePing {
		return 0, errBadProbe
	}
	return binary.BigEndian.Uint64(datagram[1:]), nil
}

// parsePong's status is part of datagram.
func parsePong(datagram []byte) (seq uint64, status []byte, err error) {
	if len(datagram) < probeHeader || len(datagram) > probeHeader+maxStatus || datagram[0] != probePong {
		return 0, nil, errBadProbe
	}
	return binary.BigEndian.Uint64(datagram[1:]), datagram[probeHeader:], nil
}

package edge

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// errProxy is the kind of errors about what a balancer says of a connection.
var errProxy = errors.New("no PROXY protocol header of version 2")

const (
	proxyFixed = 16      // bytes of the header whose last two say how many follow
	proxyMost  = 2 << 10 // bytes that may follow: addresses, and what some balancers add
)

// readProxy reads the header of the PROXY protocol, version 2, section 2.2, and
// not a byte beyond it. It returns the address of the device; nil: the
// connection is the balancer's own, which looks whether somebody is here.
func readProxy(r io.Reader) (*net.TCPAddr, error) {
	header := make([]byte, proxyFixed)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	if !bytes.HasPrefix(header, proxyproto.SIGV2) {
		return nil, fmt.Errorf("%w: it begins with %x", errProxy, header)
	}
	rest := binary.BigEndian.Uint16(header[proxyFixed-2:])
	if rest > proxyMost {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read", errProxy, rest, proxyMost)
	}
	header = append(header, make([]byte, rest)...)
	if _, err := io.ReadFull(r, header[proxyFixed:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	return proxiedBy(header)
}

func proxiedBy(header []byte) (*net.TCPAddr, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	if h.Command.IsLocal() {
		return nil, nil
	}
	device, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("%w: %v is no address of TCP", errProxy, h.SourceAddr)
	}
	return device, nil
}

// speaksProxy says whether connections from there begin with a header.
func (s *Server) speaksProxy(from net.Addr) bool {
	tcp, ok := from.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	for _, trusted := range s.cfg.ProxyFrom {
		if trusted.Contains(ip) {
			return true
		}
	}
	return false
}

// introduce has a connection that a balancer passed on count as its device's. It
// is not to be served when it is closed here.
func (s *Server) introduce(known *tcpConn) (ok bool) {
	if !s.speaksProxy(known.Conn.RemoteAddr()) {
		return true
	}
	_ = known.Conn.SetReadDeadline(time.Now().Add(s.cfg.Limits.HeaderTimeout))
	device, err := readProxy(known.Conn)
	if err != nil {
		s.metrics.refuse(reasonProxy)
		s.log.Warn("connection from a balancer refused", "remote", known.Conn.RemoteAddr(), "error", err)
		_ = known.Close()
		return false
	}
	_ = known.Conn.SetReadDeadline(time.Time{})
	if device == nil {
		return true
	}
	if err := s.gate.admit(&known.known.place, device); err != nil {
		reset(known)
		return false
	}
	known.device = device
	return true
}

func checkProxyFrom(from []netip.Prefix) error {
	for _, p := range from {
		if !p.IsValid() {
			return fmt.Errorf("%w: a source of the PROXY protocol is no prefix", ErrConfig)
		}
	}
	return nil
}

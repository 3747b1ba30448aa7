package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
)

// The ways of Config.Over.
const (
	OverHTTP3    = "HTTP/3" // the default
	OverMQTTQUIC = "MQTT on QUIC"
	OverMQTTTLS  = "MQTT on TLS"
)

var overs = []string{OverHTTP3, OverMQTTQUIC, OverMQTTTLS}

// link is a device's way to edges: it connects when there is something to send.
// Safe for concurrent use.
type link interface {
	// attempt sends a message once.
	attempt(context.Context, *message) (answer, error)
	// connect has a connection to an address, where there is none.
	connect(ctx context.Context, addr string) error
	// connected says whether there still is one.
	connected() bool
	// drop loses every connection, and what is under way on them.
	drop()
}

// message is one attempt at one.
type message struct {
	id       string // told; empty: none
	edge     *Edge
	kind     *Kind
	path     string
	body     []byte
	deadline time.Duration // told; 0: none
}

func (g *generator) newLink(id string, conf *tls.Config, calm bool) link {
	via := g.sockets[len(g.sockets)-1].quic
	if g.cfg.Over == OverMQTTQUIC || g.cfg.Over == OverMQTTTLS {
		return newMQTTLink(id, via, conf, g.cfg.Over == OverMQTTQUIC)
	}
	return newHTTP3Link(via, conf, calm)
}

// quicConfig notices a death soon, or where nothing is expected keeps a NAT's way
// open and no more.
func quicConfig(calm bool) *quic.Config {
	if calm {
		return &quic.Config{MaxIdleTimeout: time.Minute, KeepAlivePeriod: 20 * time.Second}
	}
	return &quic.Config{MaxIdleTimeout: 4 * time.Second, KeepAlivePeriod: time.Second}
}

func dialQUIC(ctx context.Context, via *quic.Transport, addr string, conf *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	return via.Dial(ctx, to, conf, qc)
}

// forProtocol is a TLS configuration for one connection.
func forProtocol(conf *tls.Config, addr, protocol string) *tls.Config {
	conf = conf.Clone()
	conf.NextProtos = []string{protocol}
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(addr)
	}
	return conf
}

func (c *Config) checkOver() error {
	if c.Over == "" {
		c.Over = OverHTTP3
	}
	if !slices.Contains(overs, c.Over) {
		return fmt.Errorf("%w: over %q: use one of %s", ErrConfig, c.Over, strings.Join(overs, ", "))
	}
	return nil
}

// statusOfCode tells an acknowledgement's reason code in the words of HTTP (docs/mqtt.md).
func statusOfCode(code byte) int {
	switch {
	case code < 0x80:
		return http.StatusOK
	case code == codeQuotaExceeded:
		return http.StatusServiceUnavailable
	case code == codeNotAuthorized:
		return http.StatusForbidden
	case code == codeTopicInvalid:
		return http.StatusNotFound
	case code == codePayloadInvalid:
		return http.StatusUnprocessableEntity
	}
	return http.StatusBadGateway
}

// Reason codes of PUBACK (MQTT 5.0, section 3.4.2.1).
const (
	codeNotAuthorized  = 0x87
	codeTopicInvalid   = 0x90
	codeQuotaExceeded  = 0x97
	codePayloadInvalid = 0x99
)

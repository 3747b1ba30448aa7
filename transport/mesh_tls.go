package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	alpnTunnel = "h3"
	alpnProbe  = "tidegate-probe/1"
	alpnTCP    = "h2"
)

// The chain is verified in VerifyConnection and nowhere else: it runs on
// resumed sessions too, against the authorities in use now, and it knows whom
// to expect. crypto/tls would want names that certificates of agents, found by
// address, do not have.

// ServerTLS is for another listener of this agent's: it lets in whom the mesh
// lets in.
func (m *Mesh) ServerTLS(protocol string) *tls.Config { return m.serverTLS(protocol) }

// ClientTLS is for a connection to such a listener of the agent want.
func (m *Mesh) ClientTLS(want Peer, protocol string) *tls.Config {
	return m.clientTLS(want, nil, protocol)
}

func (m *Mesh) serverTLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       m.cfg.Now,
		NextProtos: protocols,
		ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return m.cfg.Credentials.Certificate(), nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := m.verifyPeer(cs.PeerCertificates, x509.ExtKeyUsageClientAuth)
			if err != nil {
				m.metrics.refused("identity")
			}
			return err
		},
	}
}

// clientTLS expects exactly the agent want at the other end.
func (m *Mesh) clientTLS(want Peer, cache tls.ClientSessionCache, protocol string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Time:               m.cfg.Now,
		NextProtos:         []string{protocol},
		InsecureSkipVerify: true, // VerifyConnection does it
		ClientSessionCache: cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return m.cfg.Credentials.Certificate(), nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			got, err := m.verifyPeer(cs.PeerCertificates, x509.ExtKeyUsageServerAuth)
			if err == nil && got != want {
				err = fmt.Errorf("%w: dialled %s, reached %s", ErrIdentity, want, got)
			}
			return err
		},
	}
}

func (m *Mesh) verifyPeer(chain []*x509.Certificate, usage x509.ExtKeyUsage) (Peer, error) {
	peer, err := meshIdentity(chain, m.cfg.Credentials.Authorities(), m.cfg.Self.TrustDomain, usage, m.cfg.Now())
	if err != nil {
		return Peer{}, err
	}
	if m.cfg.Deny(peer) {
		return Peer{}, fmt.Errorf("%w: %s is on the deny list", ErrIdentity, peer)
	}
	return peer, nil
}

const (
	idleTimeout      = 5 * time.Second // the least that QUIC peers must grant, by quic-go
	handshakeTimeout = 2 * time.Second // without a packet; twice that in all
	streamWindow     = 6 << 20
	connWindow       = 16 << 20 // 80 MB/s at 200 ms
	uniStreams       = 8        // HTTP/3 needs three
)

func (m *Mesh) serverQUIC() *quic.Config {
	return &quic.Config{
		Versions:                   []quic.Version{quic.Version1},
		HandshakeIdleTimeout:       handshakeTimeout,
		MaxIdleTimeout:             idleTimeout,
		MaxIncomingStreams:         int64(m.cfg.Limits.StreamsPerTunnel),
		MaxIncomingUniStreams:      uniStreams,
		MaxStreamReceiveWindow:     streamWindow,
		MaxConnectionReceiveWindow: connWindow,
		EnableDatagrams:            true, // for probes; one configuration serves both protocols
	}
}

func (m *Mesh) clientQUIC(kind kind) *quic.Config {
	cfg := m.serverQUIC()
	cfg.KeepAlivePeriod = m.timing.keepAlive
	cfg.MaxIncomingStreams = -1
	cfg.EnableDatagrams = kind == probeKind
	return cfg
}

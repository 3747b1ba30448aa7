package edge

import (
	"crypto/tls"
	"fmt"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/transport"
)

// baseTLS makes no choice of protocols: crypto/tls refuses a client that shares
// none of NextProtos (RFC 7301 section 3.2).
func (s *Server) baseTLS() *tls.Config {
	return &tls.Config{
		GetCertificate:   func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cfg.Certificate(), nil },
		ClientAuth:       s.cfg.ClientAuth.tls(),
		ClientCAs:        s.cfg.ClientCAs,
		VerifyConnection: s.verifyConnection,
	}
}

func (s *Server) quicTLS() *tls.Config {
	conf := s.baseTLS()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{http3.NextProtoH3}
	return conf
}

func (s *Server) tcpTLS() *tls.Config {
	conf := s.baseTLS()
	conf.MinVersion = tls.VersionTLS12
	conf.NextProtos = []string{"h2", "http/1.1"}
	return conf
}

func (a ClientAuth) tls() tls.ClientAuthType {
	switch a {
	case Optional:
		return tls.VerifyClientCertIfGiven
	case Required:
		return tls.RequireAndVerifyClientCert
	}
	return tls.NoClientCert
}

// verifyConnection runs for resumed sessions too. A certificate that names an
// agent, or nobody, opens no device connection.
func (s *Server) verifyConnection(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		if s.cfg.ClientAuth == Required {
			return fmt.Errorf("%w: no certificate", transport.ErrIdentity)
		}
		return nil
	}
	_, err := transport.VerifyDevice(cs, s.cfg.ClientCAs, s.cfg.TrustDomain)
	return err
}

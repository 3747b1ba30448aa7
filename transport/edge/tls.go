package edge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// baseTLS makes no choice of protocols: crypto/tls refuses a client that shares
// none of NextProtos (RFC 7301 section 3.2).
func (s *Server) baseTLS() *tls.Config {
	return &tls.Config{
		Time:             s.cfg.Now,
		GetCertificate:   func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cfg.Certificate(), nil },
		ClientAuth:       s.cfg.ClientAuth.tls(),
		VerifyConnection: s.verifyConnection,
	}
}

// authorities is never nil: crypto/x509 would take that for the system's.
func (s *Server) authorities() *x509.CertPool {
	if s.cfg.ClientCAs != nil {
		if pool := s.cfg.ClientCAs(); pool != nil {
			return pool
		}
	}
	return s.nobody
}

// followAuthorities paces handshakes, and has each use the authorities of its time. While they
// are those of the start, that takes no configuration of its own, which quic-go
// would copy for every handshake. The keys of session tickets stay those of the
// given one.
func (s *Server) followAuthorities(conf *tls.Config) *tls.Config {
	if s.cfg.ClientAuth == None {
		conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, s.pace.Wait(hello.Context())
		}
		return conf
	}
	var last atomic.Pointer[tls.Config]
	conf.ClientCAs = s.authorities()
	base := conf.Clone()
	conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := s.pace.Wait(hello.Context()); err != nil {
			return nil, err
		}
		now := s.authorities()
		if now == base.ClientCAs {
			return nil, nil
		}
		if known := last.Load(); known != nil && known.ClientCAs == now {
			return known, nil
		}
		fresh := base.Clone()
		fresh.ClientCAs = now
		last.Store(fresh)
		return fresh, nil
	}
	return conf
}

func (s *Server) quicTLS() *tls.Config {
	conf := s.baseTLS()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{http3.NextProtoH3}
	if s.cfg.MQTT != nil {
		conf.NextProtos = append(conf.NextProtos, protoMQTT)
	}
	if s.cfg.EarlyData {
		s.takeEarlyOnce(conf)
	}
	return s.followAuthorities(conf)
}

func (s *Server) tcpTLS() *tls.Config {
	conf := s.baseTLS()
	conf.MinVersion = tls.VersionTLS12
	conf.NextProtos = []string{"h2", "http/1.1"}
	if s.cfg.MQTT != nil {
		conf.NextProtos = append(conf.NextProtos, protoMQTT)
	}
	return s.followAuthorities(conf)
}

func (s *Server) mqttTLS() *tls.Config {
	conf := s.baseTLS()
	conf.MinVersion = tls.VersionTLS12
	conf.NextProtos = []string{protoMQTT}
	return s.followAuthorities(conf)
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

// verifyConnection runs for resumed sessions too, whose certificates are verified
// here; those of a full handshake have just been. A certificate that names an
// agent, or nobody, opens no device connection.
func (s *Server) verifyConnection(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		if s.cfg.ClientAuth == Required {
			return fmt.Errorf("%w: no certificate", transport.ErrIdentity)
		}
		return nil
	}
	device, err := s.deviceOf(cs)
	if err != nil {
		s.metrics.refuse(reasonCertificate)
		s.log.Debug("certificate refused", "error", err)
		return err
	}
	if err := s.checkCertificates(cs.PeerCertificates); err != nil {
		return err
	}
	return s.checkRevoked(device)
}

// deviceOf verifies the chain of a session that was resumed, and takes the
// handshake's word for one that was verified just now.
func (s *Server) deviceOf(cs tls.ConnectionState) (policy.Device, error) {
	if cs.DidResume || len(cs.VerifiedChains) == 0 {
		return s.verifyDevice(cs.PeerCertificates)
	}
	return transport.NamedDevice(cs.PeerCertificates[0], s.cfg.TrustDomain, s.cfg.Names)
}

func (s *Server) verifyDevice(chain []*x509.Certificate) (policy.Device, error) {
	return transport.VerifyDevice(chain, s.authorities(), s.cfg.TrustDomain, s.cfg.Names, s.cfg.Now())
}

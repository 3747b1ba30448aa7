package edge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// checkRevoked returns an error of kind transport.ErrIdentity for a device that
// Config.Revoked names, and counts it.
func (s *Server) checkRevoked(d policy.Device) error {
	if s.cfg.Revoked == nil || !s.cfg.Revoked(d) {
		return nil
	}
	s.metrics.refuse(reasonRevoked)
	return fmt.Errorf("%w: device %s is revoked", transport.ErrIdentity, d.ID)
}

// checkCertificates is the same for the certificates that a handshake shows.
func (s *Server) checkCertificates(chain []*x509.Certificate) error {
	if s.cfg.RevokedCertificate == nil {
		return nil
	}
	for _, cert := range chain {
		if s.cfg.RevokedCertificate(cert) {
			s.metrics.refuse(reasonRevoked)
			return fmt.Errorf("%w: certificate %x of %q is revoked", transport.ErrIdentity, cert.SerialNumber, cert.Issuer)
		}
	}
	return nil
}

// checkTrust verifies the certificates of a connection again where the authorities
// are others than those by which they were found good.
func (s *Server) checkTrust(c *connection, chain []*x509.Certificate) error {
	now := s.authorities()
	if c.trusted.Load() == now {
		return nil
	}
	if _, err := s.verifyDevice(chain); err != nil {
		s.metrics.refuse(reasonCertificate)
		return err
	}
	c.trusted.Store(now)
	return nil
}

// shook notes whom a handshake was with. It ends the connection when the
// certificate was revoked, or its authority taken away, since it was verified.
func (s *Server) shook(c *connection, cs *tls.ConnectionState) {
	if len(cs.PeerCertificates) == 0 {
		return
	}
	chain := cs.PeerCertificates // by itself: a pointer to it there would keep the whole state
	c.chain.Store(&chain)        // before the check: Expel must not miss it
	if s.checkChain(c, chain) != nil {
		c.cut()
	}
}

func (s *Server) checkChain(c *connection, chain []*x509.Certificate) error {
	if err := s.checkCertificates(chain); err != nil {
		return err
	}
	return s.checkTrust(c, chain)
}

// Expel closes the connections of devices and certificates that are revoked by
// now, or of authorities that were taken away, with all that is under way on them,
// and returns how many those were. Where ClientCAs returns another pool than
// before, it verifies every certificate again: some 100 µs each.
func (s *Server) Expel() (closed int) {
	for _, c := range s.open() {
		if why := s.expelled(c); why != nil {
			s.log.Info("connection closed", "reason", why)
			c.cut()
			closed++
		}
	}
	return closed
}

func (s *Server) expelled(c *connection) error {
	if chain := c.chain.Load(); chain != nil {
		if err := s.checkChain(c, *chain); err != nil {
			return err
		}
	}
	if d := c.device.Load(); d != nil {
		return s.checkRevoked(*d)
	}
	return nil
}

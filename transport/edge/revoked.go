package edge

import (
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

// Expel closes the connections of devices that Config.Revoked names by now, with
// all that is under way on them, and returns how many those were.
func (s *Server) Expel() (closed int) {
	if s.cfg.Revoked == nil {
		return 0
	}
	for _, c := range s.open() {
		if d := c.device.Load(); d != nil && s.cfg.Revoked(*d) {
			s.metrics.refuse(reasonRevoked)
			s.log.Info("connection of a revoked device closed", "device", d.ID)
			c.cut()
			closed++
		}
	}
	return closed
}

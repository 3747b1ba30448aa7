package edge

import (
	"context"
	"crypto/tls"
	"net/http"

	"github.com/tidegate/tidegate/policy"
)

type deviceKey struct{}

// DeviceFrom returns the device behind a request, in the handler; false when it
// is unknown. The properties are shared: read only.
func DeviceFrom(ctx context.Context) (policy.Device, bool) {
	if c := connectionFrom(ctx); c != nil {
		if d := c.device.Load(); d != nil {
			return *d, true
		}
	}
	d, ok := ctx.Value(deviceKey{}).(policy.Device)
	return d, ok
}

// identify returns the request with its device in the context, where the
// connection does not carry it already.
func (s *Server) identify(c *connection, r *http.Request) (*http.Request, error) {
	if c.device.Load() != nil || s.cfg.Identify == nil && len(r.TLS.PeerCertificates) == 0 {
		return r, nil
	}
	return s.identifyAnew(c, r)
}

// identifyAnew has a large frame, which most requests need not have room for.
//
//go:noinline
func (s *Server) identifyAnew(c *connection, r *http.Request) (*http.Request, error) {
	device, err := s.identifyBy()(*r.TLS, r)
	if err != nil {
		s.log.Debug("device refused", "remote", r.RemoteAddr, "error", err)
		return nil, err
	}
	if device.ID == "" {
		return r, nil
	}
	if len(r.TLS.PeerCertificates) > 0 {
		return r, s.known(c, device)
	}
	c.shown.Store(true) // by this request: the next may be another device's
	if err := s.checkRevoked(device); err != nil {
		return nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), deviceKey{}, device)), nil
}

// known notes the device of a connection, unless it is revoked.
func (s *Server) known(c *connection, d policy.Device) error {
	c.shown.Store(true)
	c.device.Store(&d) // before the check: Expel must not miss it
	if err := s.checkRevoked(d); err != nil {
		c.device.Store(nil)
		return err
	}
	return nil
}

func (s *Server) identifyBy() func(tls.ConnectionState, *http.Request) (policy.Device, error) {
	if s.cfg.Identify != nil {
		return s.cfg.Identify
	}
	return func(cs tls.ConnectionState, _ *http.Request) (policy.Device, error) {
		return s.verifyDevice(cs.PeerCertificates)
	}
}

package edge

import (
	"context"
	"crypto/tls"
	"net/http"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
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
	if c.device.Load() != nil {
		return r, nil
	}
	certified := len(r.TLS.PeerCertificates) > 0
	if s.cfg.Identify == nil && !certified {
		return r, nil
	}
	device, err := s.identifyBy()(*r.TLS, r)
	if err != nil {
		return nil, err
	}
	if device.ID == "" {
		return r, nil
	}
	c.shown.Store(true)
	if certified {
		c.device.Store(&device)
		return r, nil
	}
	return r.WithContext(context.WithValue(r.Context(), deviceKey{}, device)), nil
}

func (s *Server) identifyBy() func(tls.ConnectionState, *http.Request) (policy.Device, error) {
	if s.cfg.Identify != nil {
		return s.cfg.Identify
	}
	return func(cs tls.ConnectionState, _ *http.Request) (policy.Device, error) {
		return transport.VerifyDevice(cs, s.cfg.ClientCAs, s.cfg.TrustDomain)
	}
}

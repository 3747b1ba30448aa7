package transport

import (
	"crypto/x509"
	"fmt"
	"maps"
)

// DeviceNames says by what a certificate names its device: patterns for its URI
// names, tried in order, then for its common name. {id} in a pattern is the
// device's id, every other variable a property, which stands over one that the
// certificate has elsewhere. It does not change; nil is what VerifyDevice says.
type DeviceNames struct{ uri, cn []*pattern }

// ParseDeviceNames reads patterns. Errors are of kind ErrPattern.
func ParseDeviceNames(uri, cn []string) (*DeviceNames, error) {
	n := &DeviceNames{}
	for _, list := range []struct {
		sources []string
		into    *[]*pattern
	}{{uri, &n.uri}, {cn, &n.cn}} {
		for _, source := range list.sources {
			p, err := parsePattern(source)
			if err != nil {
				return nil, err
			}
			*list.into = append(*list.into, p)
		}
	}
	return n, nil
}

// read returns the id and the properties by the first pattern that fits. One that
// fits two names of a certificate tells nothing, and an agent is no device.
func (n *DeviceNames) read(cert *x509.Certificate) (id string, properties map[string]string, err error) {
	for _, spiffe := range spiffeIDs(cert) {
		if peer, err := ParseSPIFFE(spiffe); err == nil {
			return "", nil, fmt.Errorf("%w: the certificate is that of agent %s", ErrIdentity, peer)
		}
	}
	for _, p := range n.uri {
		for _, uri := range cert.URIs {
			foundID, found, ok := p.match(uri.String())
			if ok && id != "" {
				return "", nil, fmt.Errorf("%w: two URI names of the certificate fit one pattern: %.80q and %.80q", ErrIdentity, id, foundID)
			}
			if ok {
				id, properties = foundID, found
			}
		}
		if id != "" {
			return id, properties, nil
		}
	}
	for _, p := range n.cn {
		if id, properties, ok := p.match(cert.Subject.CommonName); ok {
			return id, properties, nil
		}
	}
	return "", nil, fmt.Errorf("%w: the certificate's names fit no pattern: URIs %.200q, common name %.80q", ErrIdentity, cert.URIs, cert.Subject.CommonName)
}

// device names a certificate's device.
func (n *DeviceNames) device(cert *x509.Certificate, trustDomain string) (id string, properties map[string]string, err error) {
	if properties, err = deviceProperties(cert); err != nil {
		return "", nil, fmt.Errorf("%w: %q: %w", ErrIdentity, cert.Subject, err)
	}
	if n == nil {
		id, err = deviceID(cert, trustDomain)
		return id, properties, err
	}
	id, read, err := n.read(cert)
	maps.Copy(properties, read)
	return id, properties, err
}

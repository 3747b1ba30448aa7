package transport

import (
	"crypto/x509"
	"fmt"
	"net/url"
)

// Device properties travel in a URI SAN of their own, as a query:
// tidegate:device?tenant=acme&type=meter
const (
	propertyScheme     = "tidegate"
	propertyOpaque     = "device"
	maxProperties      = 32
	maxPropertyName    = 64
	maxPropertyValue   = 256
	propertyTenant     = "tenant"
	propertyDeviceType = "type"
)

func propertyURI(properties map[string]string) (*url.URL, error) {
	if err := checkProperties(properties); err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, value := range properties {
		query.Set(name, value)
	}
	return &url.URL{Scheme: propertyScheme, Opaque: propertyOpaque, RawQuery: query.Encode()}, nil
}

// deviceProperties returns what a certificate says, unchecked.
func deviceProperties(cert *x509.Certificate) (map[string]string, error) {
	properties := map[string]string{}
	if o := cert.Subject.Organization; len(o) > 0 {
		properties[propertyTenant] = o[0]
	}
	if ou := cert.Subject.OrganizationalUnit; len(ou) > 0 {
		properties[propertyDeviceType] = ou[0]
	}
	for _, uri := range cert.URIs {
		if uri.Scheme != propertyScheme || uri.Opaque != propertyOpaque {
			continue
		}
		query, err := url.ParseQuery(uri.RawQuery)
		if err != nil {
			return nil, fmt.Errorf("properties %.80q: %w", uri.RawQuery, err)
		}
		for name := range query {
			properties[name] = query.Get(name)
		}
	}
	return properties, nil
}

func checkProperties(properties map[string]string) error {
	if len(properties) > maxProperties {
		return fmt.Errorf("%d properties, at most %d are allowed", len(properties), maxProperties)
	}
	for name, value := range properties {
		if !validPropertyName(name) {
			return fmt.Errorf("property name %.80q: use lower-case letters, digits and underscores, a letter first, at most %d", name, maxPropertyName)
		}
		if !validPropertyValue(value) {
			return fmt.Errorf("property %s: value %.80q: use 1 to %d printable characters", name, value, maxPropertyValue)
		}
	}
	return nil
}

func validPropertyName(s string) bool {
	if s == "" || len(s) > maxPropertyName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func validPropertyValue(s string) bool {
	if s == "" || len(s) > maxPropertyValue {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return false
		}
	}
	return true
}

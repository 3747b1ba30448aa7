package transport

import (
	"fmt"
	"strings"
)

// Peer is an agent as its mesh certificate names it.
type Peer struct {
	TrustDomain string
	Region      string
	Agent       string
}

// String returns the SPIFFE ID, spiffe://<trust domain>/region/<r>/agent/<a>.
func (p Peer) String() string {
	return spiffeScheme + p.TrustDomain + "/region/" + p.Region + "/agent/" + p.Agent
}

const (
	spiffeScheme    = "spiffe://"
	maxSPIFFELength = 2048 // SPIFFE-ID section 2.3
	maxDomainLength = 255
	maxNameLength   = 128
)

// ParseSPIFFE reads the SPIFFE ID of a mesh certificate. Names are letters,
// digits, dots, dashes and underscores, 1 to 128 of them (SPIFFE-ID section 2);
// anything else is an error of kind ErrIdentity.
func ParseSPIFFE(id string) (Peer, error) {
	domain, path, err := splitSPIFFE(id)
	if err != nil {
		return Peer{}, err
	}
	if len(path) != 4 || path[0] != "region" || path[2] != "agent" {
		return Peer{}, fmt.Errorf("%w: %q is not %s<trust domain>/region/<region>/agent/<agent>", ErrIdentity, id, spiffeScheme)
	}
	return Peer{TrustDomain: domain, Region: path[1], Agent: path[3]}, nil
}

// ParseDeviceSPIFFE reads the SPIFFE ID of a device certificate,
// spiffe://<trust domain>/device/<id>. Errors are of kind ErrIdentity.
func ParseDeviceSPIFFE(id string) (trustDomain, device string, err error) {
	domain, path, err := splitSPIFFE(id)
	if err != nil {
		return "", "", err
	}
	if len(path) != 2 || path[0] != "device" {
		return "", "", fmt.Errorf("%w: %q is not %s<trust domain>/device/<id>", ErrIdentity, id, spiffeScheme)
	}
	return domain, path[1], nil
}

func splitSPIFFE(id string) (domain string, path []string, err error) {
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	if !ok || len(id) > maxSPIFFELength {
		return "", nil, fmt.Errorf("%w: %.80q is not a SPIFFE ID", ErrIdentity, id)
	}
	parts := strings.Split(rest, "/")
	if !validTrustDomain(parts[0]) {
		return "", nil, fmt.Errorf("%w: %.80q: bad trust domain: use lower-case letters, digits, dots, dashes, underscores", ErrIdentity, id)
	}
	for _, name := range parts[1:] {
		if !validName(name) {
			return "", nil, fmt.Errorf("%w: %.80q: bad path segment %.80q", ErrIdentity, id, name)
		}
	}
	return parts[0], parts[1:], nil
}

func validTrustDomain(s string) bool {
	return s != "" && len(s) <= maxDomainLength && s == strings.ToLower(s) && onlyNameBytes(s)
}

func validName(s string) bool {
	return s != "" && len(s) <= maxNameLength && s != "." && s != ".." && onlyNameBytes(s)
}

func onlyNameBytes(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}

// validDeviceID allows what fits a header, a log and a topic level.
func validDeviceID(s string) bool {
	if s == "" || len(s) > maxNameLength || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) && !strings.ContainsRune(":@~=", rune(s[i])) {
			return false
		}
	}
	return true
}

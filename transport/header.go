package transport

import (
	"net/http"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// Headers that cross the mesh. Only mesh peers may set them; the edge strips
// them from what devices send.
const (
	HeaderClass    = "Tidegate-Class"    // bulk, normal, high, critical
	HeaderDeadline = "Tidegate-Deadline" // milliseconds remaining
	HeaderService  = "Tidegate-Service"
	HeaderSubset   = "Tidegate-Subset"
	HeaderDevice   = "Tidegate-Device"
	HeaderRoute    = "Tidegate-Route"
	HeaderRegion   = "Tidegate-Region" // where the message entered the mesh
)

// Forward is what an ingress agent tells the agent that serves a message.
type Forward struct {
	Class    policy.Class
	Deadline time.Duration // remaining; > 0, rounded down to milliseconds
	Target   policy.Target
	Device   string // empty: not from a device
	Route    string
	Region   string // origin
}

// Set writes the forward into h, replacing what was there.
func (f Forward) Set(h http.Header) {}

// ReadForward reads and checks what Set wrote. Errors are of kind
// policy.ErrInvalid. Unknown Tidegate-* headers of a newer agent are ignored.
func ReadForward(h http.Header) (Forward, error) { return Forward{}, nil }

// StripMesh removes every Tidegate-* header, before a message leaves the mesh.
func StripMesh(h http.Header) {}

// StripEdge removes from a device's request what only the edge may say:
// Tidegate-*, ce-*, Forwarded, X-Forwarded-*, X-Real-Ip, Early-Data (also
// spelled with underscores), and the hop-by-hop headers of RFC 9110 section 7.6.1.
func StripEdge(h http.Header) {}

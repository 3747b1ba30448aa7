package policy

import "time"

// Device is an authenticated client as the edge knows it.
type Device struct {
	ID         string
	Properties map[string]string // tenant, type and the like
	Until      time.Time         // when what it showed counts no more; zero: it does not say
	Proof      string            // what it showed, to whoever can take that back; empty: a certificate, or nothing of the sort
}

// property returns the device's id for "id", else a property, "" where it has
// none.
func (d *Device) property(name string) string {
	if name == "id" {
		return d.ID
	}
	return d.Properties[name]
}

// The methods of messages that are no requests.
const (
	MethodPublish   = "PUBLISH"   // of a device on a topic; the path is the topic
	MethodSubscribe = "SUBSCRIBE" // of a device to its own topics; the path is the topic filter
	MethodCommand   = "COMMAND"   // of a local service to a device; the path is the topic
)

// Message is what routes look at: one request, or one publication, of a device
// or of a local service.
type Message struct {
	Method  string
	Host    string              // lower case, without port
	Path    string              // escaped as sent, begins with "/", no dot segments
	Query   string              // raw, without "?"
	Header  map[string][]string // canonical keys, as net/http has them
	Device  Device              // that sends it; of MethodCommand, that gets it
	Service string              // of MethodCommand: the name of who sends it; "": it has none
	Payload []byte              // whole body when it fits in Policy.PayloadLimit, else nil
}

// Target names a service, or a subset of one.
type Target struct {
	Service string
	Subset  string // empty: the whole service
}

// String returns "service" or "service/subset", the key of reports and views.
func (t Target) String() string {
	if t.Subset == "" {
		return t.Service
	}
	return t.Service + "/" + t.Subset
}

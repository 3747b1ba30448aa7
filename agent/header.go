package agent

import (
	"net/http"
	"strings"

	"github.com/tidegate/tidegate/transport"
)

// Headers that mark an answer as the other region's agent's own, with its
// reason. They are taken out of what services answer.
const (
	headerRefused = "Tidegate-Refused" // the request was not processed
	headerFailed  = "Tidegate-Failed"  // it may have been
	headerRetry   = "Tidegate-Retry"   // milliseconds after which what was shed may come back
)

// onwardHeader is what the service sees: the device's headers as the edge left
// them, what the route changes, and what the edge vouches for.
func (x *exchange) onwardHeader() http.Header {
	h := make(http.Header, len(x.r.Header)+6)
	values := make([]string, 0, 5) // one allocation for all
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for name, values := range x.r.Header {
		h[name] = values
	}
	x.decision.ApplyRequest(h)
	route := x.decision.Route
	set(transport.HeaderClass, route.Class.String())
	set(transport.HeaderRoute, route.Name)
	set(transport.HeaderRegion, x.view.Region)
	if id := x.message.Device.ID; id != "" {
		set(transport.HeaderDevice, id)
	}
	if x.r.RemoteAddr != "" { // a batch is of many
		set("Forwarded", forwarded(x.r))
	}
	return h
}

// forwarded is RFC 7239: who sent it, over what, and to which host.
func forwarded(r *http.Request) string {
	proto := "https"
	if r.TLS == nil {
		proto = "http"
	}
	return `for="` + r.RemoteAddr + `";proto=` + proto + `;host="` + quoted(r.Host) + `"`
}

// quoted keeps a host from ending the quoted string it stands in.
func quoted(host string) string {
	for i := range len(host) {
		if c := host[i]; c == '"' || c == '\\' || c < ' ' || c > '~' {
			return "invalid"
		}
	}
	return host
}

// passes says whether a service's header goes on to the device: not when it
// concerns one connection only (RFC 9110 section 7.6.1; Connection's own list is
// handled where it is read), nor when only agents speak so.
func passes(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer":
		return false
	}
	return !strings.HasPrefix(name, "Tidegate-")
}

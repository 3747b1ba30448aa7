package policy

import (
	"time"

	"github.com/hashicorp/hcl/v2"
)

// RouteFault is a fault that a route injects into a share of its messages, at
// agents that were opened to faults; others leave it out.
type RouteFault struct {
	Share   float64       // of messages, over 0 to 1; default 1
	Devices float64       // of devices, always the same ones, over 0 to 1; default 1
	Delay   time.Duration // before the message goes on, or is answered; at most 10 s
	Status  int           // answered instead of the service, 400 to 599; 0: the message goes on
	Until   time.Time     // it ends by itself then
}

// maxRouteDelay bounds RouteFault.Delay.
const maxRouteDelay = 10 * time.Second

var routeFaultShape = blockShape{keys: []string{"share", "devices", "delay", "status", "until"}}

func (c *routeCompiler) compileFault(r *Route, hb *hcl.Block) {
	if hb == nil {
		return
	}
	b := openBlock(hb.Body, hb.DefRange, routeFaultShape, c.found)
	f := &RouteFault{Share: 1, Devices: 1}
	if b.has("share") {
		f.Share = b.share("share")
	}
	if b.has("devices") {
		f.Devices = b.share("devices")
	}
	if b.has("status") {
		f.Status = b.number("status", 400, 599, 0)
	}
	f.Delay, _ = b.duration("delay")
	if f.Delay > maxRouteDelay {
		b.fail("delay", `write a duration from "1ms" to "10s"`, "%s is too long", f.Delay)
	}
	f.Until = b.moment("until")
	if f.Status == 0 && f.Delay == 0 {
		c.found.add(hb.DefRange, `add status = 503 or delay = "200ms"`, "fault: has no effect")
	}
	r.Fault = f
}

// moment reads a required time of day.
func (b *block) moment(key string) time.Time {
	if !b.has(key) {
		b.found.add(b.at, `add until = "2006-01-02T15:04:05Z", when it ends by itself`, "%s: missing", key)
		return time.Time{}
	}
	text := b.text(key)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil && text != "" {
		b.fail(key, `write a time like "2006-01-02T15:04:05Z" (RFC 3339)`, "bad time %q", text)
	}
	return at
}

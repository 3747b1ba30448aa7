package mqtt

import (
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
)

// sharePrefix begins the filters of shared subscriptions.
const sharePrefix = "$share/"

// subscribe answers SUBSCRIBE, then sends what waited for it.
func (c *conn) subscribe(p *packets.Packet) error {
	ack := c.packet(packets.Suback)
	ack.PacketID = p.PacketID
	for i := range p.Filters {
		if p.Filters[i].Identifier > 0 {
			return packets.ErrSubscriptionIdentifiersNotSupported
		}
		ack.ReasonCodes = append(ack.ReasonCodes, c.grant(&p.Filters[i]))
	}
	if err := c.send(ack); err != nil {
		return err
	}
	c.session.kick()
	c.srv.cfg.Handler.Changed(c.device.ID)
	return nil
}

// grant enters one subscription and returns the reason code of SUBACK (MQTT 5.0,
// section 3.9.3): the quality of service, or why there is none.
func (c *conn) grant(f *packets.Subscription) byte {
	code := c.unfitFilter(f.Filter)
	if code == packets.CodeSuccess.Code {
		qos := min(f.Qos, 1)
		if c.session.subscribe(strings.Clone(f.Filter), qos) {
			return qos
		}
		code = packets.ErrQuotaExceeded.Code
	}
	c.srv.metrics.subscriptionRefused(code)
	if c.version != 5 {
		return packets.ErrUnspecifiedError.Code // all that MQTT 3.1.1 has
	}
	return code
}

func (c *conn) unfitFilter(filter string) byte {
	switch {
	case strings.HasPrefix(filter, sharePrefix):
		return packets.ErrSharedSubscriptionsNotSupported.Code
	case !policy.ValidFilter(filter):
		return packets.ErrTopicFilterInvalid.Code
	case c.device.ID == "" || !c.srv.cfg.Handler.Subscribe(c.device, filter):
		return packets.ErrNotAuthorized.Code
	}
	return packets.CodeSuccess.Code
}

func (c *conn) unsubscribe(p *packets.Packet) error {
	ack := c.packet(packets.Unsuback)
	ack.PacketID = p.PacketID
	for i := range p.Filters {
		code := packets.CodeSuccess.Code
		if !c.session.unsubscribe(p.Filters[i].Filter) {
			code = packets.CodeNoSubscriptionExisted.Code
		}
		ack.ReasonCodes = append(ack.ReasonCodes, code)
	}
	return c.send(ack)
}

// subscribe enters a filter, or changes its quality of service; false: there are
// too many.
func (e *session) subscribe(filter string, qos byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out == nil {
		e.out = &outbox{filters: map[string]byte{}}
	}
	if _, known := e.out.filters[filter]; !known && len(e.out.filters) >= e.srv.cfg.Limits.Subscriptions {
		return false
	}
	e.out.filters[filter] = qos
	return true
}

func (e *session) unsubscribe(filter string) (existed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out == nil {
		return false
	}
	_, existed = e.out.filters[filter]
	delete(e.out.filters, filter)
	return existed
}

// granted is the best quality of service at which a topic was subscribed to.
func (o *outbox) granted(topic string) (qos byte, subscribed bool) {
	for filter, q := range o.filters {
		if policy.TopicMatches(filter, topic) {
			qos, subscribed = max(qos, q), true
		}
	}
	return qos, subscribed
}

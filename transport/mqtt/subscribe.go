package mqtt

import "github.com/mochi-mqtt/server/v2/packets"

// suback refuses every filter: there is nothing to be had yet.
func (c *conn) suback(p *packets.Packet) *packets.Packet {
	code := packets.ErrNotAuthorized.Code
	if c.version != 5 {
		code = packets.ErrUnspecifiedError.Code // all that MQTT 3.1.1 has
	}
	ack := c.packet(packets.Suback)
	ack.PacketID = p.PacketID
	for range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, code)
	}
	return ack
}

func (c *conn) unsuback(p *packets.Packet) *packets.Packet {
	ack := c.packet(packets.Unsuback)
	ack.PacketID = p.PacketID
	for range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, packets.CodeNoSubscriptionExisted.Code)
	}
	return ack
}

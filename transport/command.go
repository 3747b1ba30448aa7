package transport

import (
	"context"
	"fmt"
	"time"
)

// Command is a message of a service to one device.
type Command struct {
	ID          string // the same whenever it is sent again
	Topic       string // policy.ValidTopic
	Payload     []byte
	ContentType string    // empty: unknown
	Expires     time.Time // not to be delivered after
}

// Size is what a command takes of memory, nearly, in bytes.
func (c *Command) Size() int {
	const overhead = 128
	return len(c.ID) + len(c.Topic) + len(c.Payload) + len(c.ContentType) + overhead
}

// Delivery is what became of a command.
type Delivery struct {
	State  DeliveryState
	Reason string // for people; may be empty
}

// DeliveryState is a word for it.
type DeliveryState uint8

// The states, the best first.
const (
	Delivered    DeliveryState = iota // the device acknowledged it
	Sent                              // the device took it on a subscription that acknowledges nothing
	Pending                           // kept in the memory of the agent that has the device's session
	Denied                            // the policy does not allow it
	Refused                           // the device does not want it, or too late
	Overfull                          // more waits for the device than may
	Unsubscribed                      // the device is there and did not subscribe to the topic
	Unknown                           // no such device here
)

var deliveryNames = [...]string{"delivered", "sent", "pending", "denied", "refused", "overfull", "unsubscribed", "unknown"}

// String returns the word that answers and metrics use.
func (s DeliveryState) String() string {
	if int(s) < len(deliveryNames) {
		return deliveryNames[s]
	}
	return fmt.Sprintf("delivery(%d)", s)
}

// DeviceSession is what an agent has of a device.
type DeviceSession struct {
	Client    string // identifier that the device chose; sessions of one device differ in it
	Protocol  string // ProtocolMQTT or ProtocolHTTP
	Epoch     uint64 // number that the device gave its connection, growing; 0: none
	Connected bool
	Since     time.Time // that the connection came, or the last one did
	Left      time.Time // that it went; zero while it lasts
	Remote    string
	Filters   []string // what it subscribed to
	Waiting   int      // commands that are not acknowledged
}

// The protocols of device sessions.
const (
	ProtocolMQTT = "mqtt"
	ProtocolHTTP = "http"
)

// Errand is a command on its way to a device, until it is known what became of it.
type Errand struct {
	Command *Command

	settled chan struct{} // closed once result is known
	result  Delivery
}

// NewErrand sends a command on its way.
func NewErrand(c *Command) *Errand { return &Errand{Command: c, settled: make(chan struct{})} }

// Settle says what became of the command, once.
func (e *Errand) Settle(state DeliveryState, reason string) {
	e.result = Delivery{State: state, Reason: reason}
	close(e.settled)
}

// Wait returns what became of the command; Pending when ctx ends before that is
// known. Safe for concurrent use.
func (e *Errand) Wait(ctx context.Context) Delivery {
	select {
	case <-e.settled:
		return e.result
	case <-ctx.Done():
		return Delivery{State: Pending}
	}
}

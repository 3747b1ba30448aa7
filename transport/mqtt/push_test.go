package mqtt

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/transport"
)

func (d *device) subscribe(qos byte, filters ...string) []byte {
	d.t.Helper()
	p := d.packet(packets.Subscribe)
	p.PacketID = 9
	for _, f := range filters {
		p.Filters = append(p.Filters, packets.Subscription{Filter: f, Qos: qos})
	}
	d.send(p)
	return d.want(packets.Suback).ReasonCodes
}

func (d *device) acknowledge(id uint16, code byte) {
	p := d.packet(packets.Puback)
	p.PacketID, p.ReasonCode = id, code
	d.send(p)
}

func command(id string) *transport.Command {
	return &transport.Command{ID: id, Topic: "commands/d1/do", Payload: []byte(id), ContentType: "text/plain", Expires: time.Now().Add(time.Minute)}
}

// deliver offers a command beside the test, and returns where its fate will be.
func deliver(t *testing.T, s *Server, patience time.Duration, cmd *transport.Command) <-chan transport.Delivery {
	fate := make(chan transport.Delivery, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		fate <- s.Deliver(ctx, "d1", cmd)
	}()
	synctest.Wait()
	return fate
}

func wantFate(t *testing.T, fate <-chan transport.Delivery, want transport.DeliveryState) {
	t.Helper()
	synctest.Wait()
	select {
	case d := <-fate:
		if d.State != want {
			t.Fatalf("%s (%s), not %s", d.State, d.Reason, want)
		}
	default:
		t.Fatalf("nothing yet, not %s", want)
	}
}

func TestSubscriptionsAreGrantedByTheHandlerAndAtMostQoS1(t *testing.T) {
	for version, refusal := range map[byte][]byte{
		5: {packets.ErrNotAuthorized.Code, packets.ErrTopicFilterInvalid.Code, packets.ErrSharedSubscriptionsNotSupported.Code, packets.ErrQuotaExceeded.Code},
		4: {0x80, 0x80, 0x80, 0x80},
	} {
		serving(t, &takes{}, Limits{Subscriptions: 2}, func(t *testing.T, s *Server) {
			d := connect(t, s, version)
			got := d.subscribe(2, "commands/d1/#", "commands/d2/#", "open/a+", "$share/g/open/a", "open/+", "open/+", "open/b")
			want := []byte{1, refusal[0], refusal[1], refusal[2], 1, 1, refusal[3]}
			if !slices.Equal(got, want) {
				t.Errorf("MQTT %d: %#v, want %#v", version, got, want)
			}
			p := d.packet(packets.Unsubscribe)
			p.PacketID, p.Filters = 10, packets.Subscriptions{{Filter: "open/+"}, {Filter: "never"}}
			d.send(p)
			if got := d.want(packets.Unsuback).ReasonCodes; version == 5 && !slices.Equal(got, []byte{0, packets.CodeNoSubscriptionExisted.Code}) {
				t.Errorf("UNSUBACK %#v", got)
			}
			if got := d.subscribe(0, "open/b"); !slices.Equal(got, []byte{0}) {
				t.Errorf("%#v after there was room again", got)
			}
		})
	}
}

func TestASubscriptionIdentifierEndsTheConnection(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		p := d.packet(packets.Subscribe)
		p.PacketID, p.Filters = 9, packets.Subscriptions{{Filter: "open/a", Identifier: 3}}
		p.Properties.SubscriptionIdentifier = []int{3}
		d.send(p)
		d.wantEnd(packets.ErrSubscriptionIdentifiersNotSupported)
	})
}

func TestACommandIsDeliveredOnceTheDeviceAcknowledgedIt(t *testing.T) {
	for _, version := range []byte{4, 5} {
		serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, version)
			d.subscribe(1, "commands/d1/#")
			fate := deliver(t, s, time.Second, command("a"))
			p := d.want(packets.Publish)
			if p.TopicName != "commands/d1/do" || string(p.Payload) != "a" || p.FixedHeader.Qos != 1 || p.FixedHeader.Dup {
				t.Errorf("got %+v", p)
			}
			if version == 5 && (p.Properties.ContentType != "text/plain" || p.Properties.MessageExpiryInterval != 60 || p.Properties.User[0].Val != "a") {
				t.Errorf("properties %+v", p.Properties)
			}
			if len(fate) > 0 {
				t.Error("an answer before the device's")
			}
			d.acknowledge(p.PacketID, 0)
			wantFate(t, fate, transport.Delivered)
		})
	}
}

func TestWhatBecomesOfACommandWithoutAcknowledgement(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		wantFate(t, deliver(t, s, time.Second, command("a")), transport.Unknown)
		d := connect(t, s, 5)
		wantFate(t, deliver(t, s, time.Second, command("a")), transport.Unsubscribed)
		d.subscribe(0, "commands/d1/#")
		wantFate(t, deliver(t, s, time.Second, command("a")), transport.Sent)
		d.want(packets.Publish)
		d.subscribe(1, "commands/d1/#")
		refused := deliver(t, s, time.Second, command("b"))
		d.acknowledge(d.want(packets.Publish).PacketID, packets.ErrImplementationSpecificError.Code)
		wantFate(t, refused, transport.Refused)
		ignored := deliver(t, s, time.Second, command("c"))
		d.want(packets.Publish)
		time.Sleep(time.Second)
		wantFate(t, ignored, transport.Pending)
	})
}

// A device may have a command and be gone before its agent knows that it was
// written.
func TestACommandOnItsWayAtQoS0CountsAsSent(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.subscribe(0, "commands/d1/#")
		e, p := d.session(s), &push{Errand: transport.NewErrand(command("a"))}
		e.mu.Lock()
		e.out.sent = append(e.out.sent, p)
		left := e.orphan()
		e.mu.Unlock()
		if fate := p.Wait(t.Context()); fate.State != transport.Sent || len(left) != 0 {
			t.Errorf("%s, and %d left for another session", fate.State, len(left))
		}
	})
}

func TestACommandLargerThanTheDeviceTakesIsRefused(t *testing.T) {
	small := func(p *packets.Packet) { p.Properties.MaximumPacketSize = 100 }
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, small)
		d.subscribe(1, "commands/d1/#")
		large := command("a")
		large.Payload = make([]byte, 100)
		wantFate(t, deliver(t, s, time.Second, large), transport.Refused)
		fate := deliver(t, s, time.Second, command("b"))
		d.acknowledge(d.want(packets.Publish).PacketID, 0)
		wantFate(t, fate, transport.Delivered)
	})
}

func TestCommandsWaitForADeviceThatIsAwayUntilTheyExpire(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, lasting)
		d.subscribe(1, "commands/d1/#")
		lost := deliver(t, s, time.Minute, command("a"))
		first := d.want(packets.Publish)
		d.vanish()
		wantFate(t, deliver(t, s, time.Second, command("b")), transport.Pending)
		short := command("c")
		short.Expires = time.Now().Add(time.Second)
		wantFate(t, deliver(t, s, time.Second, short), transport.Pending)
		time.Sleep(2 * time.Second)

		d = connect(t, s, 5, lasting)
		again := d.want(packets.Publish)
		if !again.FixedHeader.Dup || again.PacketID != first.PacketID || string(again.Payload) != "a" {
			t.Errorf("after the return: %+v", again)
		}
		next := d.want(packets.Publish)
		if next.FixedHeader.Dup || next.PacketID == first.PacketID || string(next.Payload) != "b" {
			t.Errorf("then: %+v", next)
		}
		d.acknowledge(again.PacketID, 0)
		wantFate(t, lost, transport.Delivered)
		d.acknowledge(next.PacketID, 0)
		d.wantNothing() // "c" expired
	})
}

func TestNoMoreIsSentThanTheDeviceReceivesAtOnce(t *testing.T) {
	two := func(p *packets.Packet) { p.Properties.ReceiveMaximum = 2 }
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, two)
		d.subscribe(1, "commands/d1/#")
		var fates []<-chan transport.Delivery
		for i := range 5 {
			fates = append(fates, deliver(t, s, time.Minute, command(fmt.Sprint(i))))
		}
		first, second := d.want(packets.Publish), d.want(packets.Publish)
		d.wantNothing()
		d.acknowledge(second.PacketID, 0)
		third := d.want(packets.Publish)
		if string(third.Payload) != "2" {
			t.Errorf("out of order: %s", third.Payload)
		}
		d.wantNothing()
		d.acknowledge(first.PacketID, 0)
		d.acknowledge(third.PacketID, 0)
		d.acknowledge(d.want(packets.Publish).PacketID, 0)
		d.acknowledge(d.want(packets.Publish).PacketID, 0)
		for _, fate := range fates {
			wantFate(t, fate, transport.Delivered)
		}
	})
}

func TestWhatWaitsForADeviceIsBounded(t *testing.T) {
	serving(t, &takes{}, Limits{InFlight: 3}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, lasting)
		d.subscribe(1, "commands/d1/#")
		d.vanish()
		soon := command("soon")
		soon.Expires = time.Now().Add(time.Second)
		wantFate(t, deliver(t, s, time.Second, soon), transport.Pending)
		wantFate(t, deliver(t, s, time.Second, command("a")), transport.Pending)
		wantFate(t, deliver(t, s, time.Second, command("b")), transport.Pending)
		wantFate(t, deliver(t, s, time.Second, command("c")), transport.Overfull)
		wantFate(t, deliver(t, s, time.Second, command("a")), transport.Pending) // it is there already
		time.Sleep(2 * time.Second)
		wantFate(t, deliver(t, s, time.Second, command("c")), transport.Pending)
	})
	serving(t, &takes{}, Limits{InFlightBytes: 1000}, func(t *testing.T, s *Server) {
		connect(t, s, 5, lasting).subscribe(1, "commands/d1/#")
		for i, want := range []transport.DeliveryState{transport.Pending, transport.Overfull} {
			large := command(fmt.Sprint(i))
			large.Payload = make([]byte, 900)
			fate := deliver(t, s, time.Millisecond, large)
			time.Sleep(time.Millisecond)
			wantFate(t, fate, want)
		}
	})
}

func TestTheNewestSessionOfADeviceGetsTheCommand(t *testing.T) {
	as := func(client string) func(*packets.Packet) {
		return func(p *packets.Packet) { lasting(p); p.Connect.ClientIdentifier = client }
	}
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		old := connect(t, s, 5, as("old"))
		old.subscribe(1, "commands/d1/#")
		time.Sleep(time.Second)
		recent := connect(t, s, 5, as("recent"))
		recent.subscribe(1, "commands/d1/#")
		fate := deliver(t, s, time.Second, command("a"))
		recent.acknowledge(recent.want(packets.Publish).PacketID, 0)
		wantFate(t, fate, transport.Delivered)
		old.wantNothing()
		recent.vanish()
		fate = deliver(t, s, time.Second, command("b"))
		old.acknowledge(old.want(packets.Publish).PacketID, 0)
		wantFate(t, fate, transport.Delivered)
	})
}

func TestASessionTakenOverElsewhereEndsAndGivesItsCommandsBack(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, lasting)
		d.subscribe(1, "commands/d1/#")
		waits := deliver(t, s, time.Minute, command("a"))
		d.want(packets.Publish)
		if left := s.TakeOver("d1", "c1", time.Now().Add(-time.Second)); left != nil {
			t.Error("a newer connection was taken over by an older one")
		}
		time.Sleep(time.Second)
		left := s.TakeOver("d1", "c1", time.Now())
		if len(left) != 1 || left[0].ID != "a" {
			t.Errorf("left %v", left)
		}
		wantFate(t, waits, transport.Unknown)
		d.wantEnd(packets.ErrSessionTakenOver)
		if got := s.Sessions("d1"); got != nil {
			t.Errorf("still there: %+v", got)
		}
		if back := connect(t, s, 5, lasting); back.ack.SessionPresent {
			t.Error("the session was resumed")
		}
	})
}

func TestAKickedDeviceIsTold(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, lasting)
		time.Sleep(time.Millisecond)
		if n := s.Kick("d1"); n != 1 {
			t.Errorf("%d sessions ended", n)
		}
		d.wantEnd(packets.ErrAdministrativeAction)
		if n := s.Kick("d1"); n != 0 {
			t.Errorf("%d more", n)
		}
	})
}

func TestSessionsAreDescribed(t *testing.T) {
	numbered := func(p *packets.Packet) {
		lasting(p)
		p.Properties.User = []packets.UserProperty{{Key: "tidegate-epoch", Val: "42"}}
	}
	h := &takes{}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, numbered)
		d.subscribe(1, "open/b", "open/a")
		all := s.Sessions("d1")
		if len(all) != 1 {
			t.Fatalf("%+v", all)
		}
		got := all[0]
		if got.Client != "c1" || got.Epoch != 42 || !got.Connected || !slices.Equal(got.Filters, []string{"open/a", "open/b"}) || got.Protocol != "mqtt" {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Second)
		before := h.changes.Load()
		d.vanish()
		if got := s.Sessions("d1")[0]; got.Connected || !got.Left.Equal(time.Now()) || !got.Since.Before(got.Left) {
			t.Errorf("away: %+v", got)
		}
		if h.changes.Load() == before {
			t.Error("nobody was told that it went")
		}
		time.Sleep(700 * time.Second)
		if got := s.Devices(); len(got) != 0 {
			t.Errorf("after its expiry: %v", got)
		}
	})
}

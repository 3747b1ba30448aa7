package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func bothVersions(t *testing.T, test func(t *testing.T, version byte)) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) { test(t, version) })
	}
}

// Promise: an acknowledged message was accepted.
func TestNothingIsAcknowledgedBeforeItIsAccepted(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		let := make(chan bool)
		h := &takes{answer: func(*Publication) Verdict { <-let; return Verdict{} }}
		synctest.Test(t, func(t *testing.T) {
			let = make(chan bool)
			s, _ := New(Config{Handler: h})
			defer s.Close()
			d := connect(t, s, version)
			d.publish(1, 7, "a", "one")
			d.publish(2, 8, "b", "two")
			d.wantNothing()
			close(let)
			first, second := d.next(), d.next()
			if first.FixedHeader.Type == packets.Pubrec {
				first, second = second, first
			}
			if first.FixedHeader.Type != packets.Puback || first.PacketID != 7 || second.FixedHeader.Type != packets.Pubrec || second.PacketID != 8 {
				t.Fatalf("%+v, %+v", first, second)
			}
			rel := d.packet(packets.Pubrel)
			rel.PacketID = 8
			d.send(rel)
			d.wantAck(packets.Pubcomp, 8, 0)
		})
	})
}

func TestQoS0IsHandedOverAndNotAnswered(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 4)
		d.publish(0, 0, "a/b", "x")
		d.wantNothing()
		d.leave() // as soon as it is sent
		synctest.Wait()
		if got := h.payloads(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestOneTopicKeepsItsOrderAndOthersDoNotWait(t *testing.T) {
	var slow atomic.Bool
	slow.Store(true)
	h := &takes{answer: func(p *Publication) Verdict {
		if p.Topic == "slow" && slow.Load() {
			time.Sleep(time.Second)
		}
		return Verdict{}
	}}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		began := time.Now()
		for i := range 3 {
			d.publish(1, uint16(i+1), "slow", fmt.Sprint("s", i))
		}
		d.publish(1, 10, "fast", "f")
		d.wantAck(packets.Puback, 10, 0)
		if took := time.Since(began); took > 0 {
			t.Errorf("the other topic waited for %s", took)
		}
		for i := range 3 {
			d.wantAck(packets.Puback, uint16(i+1), 0)
		}
		if got := h.payloads(); !slices.Equal(slices.DeleteFunc(got, func(p string) bool { return p == "f" }), []string{"s0", "s1", "s2"}) {
			t.Errorf("%q", got)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("three one after the other took %s", took)
		}
	})
}

func TestWhereOrderDoesNotMatterMessagesPassEachOther(t *testing.T) {
	h := &takes{answer: func(p *Publication) Verdict {
		if string(p.Payload) == "slow" {
			time.Sleep(time.Second)
		}
		return Verdict{}
	}}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(1, 1, "any", "slow")
		d.publish(1, 2, "any", "fast")
		d.wantAck(packets.Puback, 2, 0)
		d.wantAck(packets.Puback, 1, 0)
	})
}

// A device that sends a message again, because it did not hear the
// acknowledgement, gets that and no second delivery.
func TestAMessageSentAgainIsAcknowledgedAndNotDeliveredAgain(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		let := make(chan bool)
		h := &takes{answer: func(*Publication) Verdict { <-let; return Verdict{} }}
		synctest.Test(t, func(t *testing.T) {
			let = make(chan bool)
			s, _ := New(Config{Handler: h})
			defer s.Close()
			d := connect(t, s, version, lasting)
			d.publish(1, 1, "a", "one")
			d.publish(2, 2, "b", "two")
			synctest.Wait()
			d.vanish()
			d = connect(t, s, version, lasting)
			if !d.ack.SessionPresent {
				t.Error("the session is not there")
			}
			d.publish(1, 1, "a", "one", again) // while it is under way
			d.wantNothing()
			close(let)
			synctest.Wait()
			<-d.got
			<-d.got
			d.vanish() // with the acknowledgements
			d = connect(t, s, version, lasting)
			d.publish(2, 2, "b", "two", again)
			d.wantAck(packets.Pubrec, 2, 0)
			if got := h.payloads(); len(got) != 2 {
				t.Errorf("%q", got)
			}
			rel := d.packet(packets.Pubrel)
			rel.PacketID = 2
			d.send(rel)
			d.wantAck(packets.Pubcomp, 2, 0)
			d.publish(2, 2, "b", "two") // the identifier is free again
			d.wantAck(packets.Pubrec, 2, 0)
			if ids := h.ids(); len(ids) != 3 || ids[2] == ids[0] || ids[2] == ids[1] {
				t.Errorf("ids %q", ids)
			}
		})
	})
}

// An acknowledgement at QoS 1 that was due while the device was away waits for
// it. One that was sent may be lost, or the identifier be used again for another
// message: that one must not be taken for the first.
func TestSentAgainAtQoS1(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		h := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
		serving(t, h, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, version, lasting)
			d.publish(1, 1, "a", "one")
			d.vanish()
			time.Sleep(2 * time.Second)
			d = connect(t, s, version, lasting)
			d.publish(1, 1, "a", "one", again)
			d.wantAck(packets.Puback, 1, 0)
			if got := h.payloads(); len(got) != 1 {
				t.Errorf("%q", got)
			}
			d.publish(1, 1, "a", "one", again) // was that acknowledgement lost?
			d.wantAck(packets.Puback, 1, 0)
			d.publish(1, 1, "a", "other", again) // whose first sending was lost
			d.wantAck(packets.Puback, 1, 0)
			d.publish(1, 1, "a", "other")
			d.wantAck(packets.Puback, 1, 0)
			got, ids := h.payloads(), h.ids()
			if !slices.Equal(got, []string{"one", "one", "other", "other"}) || ids[0] != ids[1] || ids[2] == ids[0] || ids[3] == ids[2] {
				t.Errorf("%q by %q", got, ids)
			}
		})
	})
}

// A device that lost its state uses identifiers again for other messages, and at
// another QoS.
func TestAForgottenIdentifierIsFree(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{InFlight: 2}, func(t *testing.T, s *Server) {
		for i := range 10 { // none is ever released
			d := connect(t, s, 5, lasting)
			for id := range uint16(2) {
				d.publish(2, 1+id+2*uint16(i), "a", fmt.Sprint("two ", i, id))
				d.wantAck(packets.Pubrec, 1+id+2*uint16(i), 0)
			}
			d.vanish()
		}
		d := connect(t, s, 5, lasting)
		d.publish(1, 19, "a", "one")
		d.wantAck(packets.Puback, 19, 0)
		if n := len(d.session(s).deliveries); n > 5 {
			t.Errorf("%d are remembered", n)
		}
	})
}

func TestWhatTheDeviceForgotDoesNotCount(t *testing.T) {
	h := &takes{answer: func(p *Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
	serving(t, h, Limits{InFlight: 2}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(1, 1, "a", "one")
		d.publish(1, 1, "b", "by the same identifier")
		d.publish(1, 2, "c", "two")
		for _, p := range []*packets.Packet{d.want(packets.Puback), d.want(packets.Puback)} {
			if p.ReasonCode != 0 {
				t.Errorf("%+v", p)
			}
		}
		d.wantNothing() // of the first one: it would be taken for the second's
	})
}

// A connection that lost its session does nothing to it any more.
func TestATakenOverConnectionHasNoSay(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		first := connect(t, s, 5, lasting)
		e := first.session(s)
		old := e.conn
		second := connect(t, s, 5, lasting)
		second.publish(2, 1, "a", "x")
		second.wantAck(packets.Pubrec, 1, 0)
		if p := e.released(old, 1); p != nil || e.deliveries[1] == nil {
			t.Errorf("it released a message: %+v", p)
		}
		if e.expireAfter(old, 0); e.keep != 600*time.Second {
			t.Errorf("it ends the session after %s", e.keep)
		}
		if _, err := e.take(old, &packets.Packet{PacketID: 2}, &Publication{QoS: 1, Topic: "a"}, "a"); err != packets.ErrSessionTakenOver {
			t.Errorf("it publishes: %v", err)
		}
	})
}

func TestReleaseBeforeItsTime(t *testing.T) {
	h := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(2, 1, "a", "x")
		rel := d.packet(packets.Pubrel)
		rel.PacketID = 1
		d.send(rel)
		d.wantNothing()
		d.wantAck(packets.Pubrec, 1, 0)
		d.send(rel)
		d.wantAck(packets.Pubcomp, 1, 0)
		d.send(rel)
		d.wantAck(packets.Pubcomp, 1, 0x92)
	})
}

func TestABugInTheHandlerCostsOneMessage(t *testing.T) {
	h := &takes{answer: func(p *Publication) Verdict {
		if string(p.Payload) == "bug" {
			panic("bug")
		}
		return Verdict{}
	}}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(1, 1, "a", "bug")
		d.wantAck(packets.Puback, 1, 0x80)
		d.publish(1, 2, "a", "x")
		d.wantAck(packets.Puback, 2, 0)
	})
}

// When a session ends, what was not acknowledged is not delivered any more: the
// device sends it again, to whom it likes.
func TestTheEndOfASessionEndsItsWork(t *testing.T) {
	h := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		for i := range 10 {
			d.publish(1, uint16(i+1), "a", fmt.Sprint(i))
		}
		d.publish(0, 0, "a", "for good")
		synctest.Wait()
		d.vanish()
		time.Sleep(time.Minute)
		if got := h.payloads(); !slices.Equal(got, []string{"0", "for good"}) {
			t.Errorf("%q", got)
		}
	})
	h = &takes{hangs: true}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(1, 1, "a", "to be acknowledged")
		d.publish(0, 0, "b", "for good")
		synctest.Wait()
		d.leave()
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Equal(h.cut, []string{"to be acknowledged"}) {
			t.Errorf("cut off: %q", h.cut)
		}
	})
}

func TestAcknowledgementsHeedWhatTheDeviceAsksFor(t *testing.T) {
	h := &takes{answer: func(*Publication) Verdict {
		return Verdict{Result: Busy, Code: 0x97, Reason: strings.Repeat("long ", 10)}
	}}
	for name, change := range map[string]func(*packets.Packet){
		"no problem information": func(p *packets.Packet) { p.Properties.RequestProblemInfoFlag = true },
		"small packets":          func(p *packets.Packet) { p.Properties.MaximumPacketSize = 40 },
	} {
		serving(t, h, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5, change)
			d.publish(1, 1, "a", "x")
			if p := d.want(packets.Puback); p.ReasonCode != 0x97 || p.Properties.ReasonString != "" {
				t.Errorf("%s: %+v", name, p)
			}
		})
	}
}

func TestTheDeviceMayNameItsMessage(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		d.publish(1, 1, "a", "x", func(p *packets.Packet) {
			p.Properties.User = []packets.UserProperty{{Key: "ce-id", Val: "m-17"}, {Key: "x-kind", Val: "alarm"}}
			p.Properties.ContentType = "application/json"
		})
		d.wantAck(packets.Puback, 1, 0)
		p := h.got[0]
		if p.ID != "m-17" || p.ContentType != "application/json" || !slices.Equal(p.Properties, []Property{{"x-kind", "alarm"}}) {
			t.Errorf("%+v", p)
		}
	})
}

func TestWhatIsNotTaken(t *testing.T) {
	refuses := func(v Verdict) *takes { return &takes{answer: func(*Publication) Verdict { return v }} }
	t.Run("MQTT 5 hears the reason", func(t *testing.T) {
		for _, qos := range []byte{1, 2} {
			serving(t, refuses(Verdict{Result: Busy, Code: 0x97, Reason: "overload"}), Limits{}, func(t *testing.T, s *Server) {
				d := connect(t, s, 5)
				d.publish(qos, 1, "a", "x")
				p := d.next()
				if p.ReasonCode != 0x97 || p.Properties.ReasonString != "overload" {
					t.Errorf("%+v", p)
				}
				d.publish(qos, 1, "a", "x") // the identifier is free again
				if p := d.next(); p.ReasonCode != 0x97 {
					t.Errorf("%+v", p)
				}
			})
		}
	})
	t.Run("MQTT 3.1.1 waits until it is", func(t *testing.T) {
		tries := 0
		h := &takes{answer: func(*Publication) Verdict {
			if tries++; tries < 4 {
				return Verdict{Result: []Result{Busy, Failed}[tries%2], Code: 0x97, Retry: 2 * time.Second}
			}
			return Verdict{}
		}}
		serving(t, h, Limits{}, func(t *testing.T, s *Server) {
			d, began := connect(t, s, 4), time.Now()
			d.publish(1, 1, "a", "x")
			time.Sleep(time.Second / 2)
			d.send(d.packet(packets.Pingreq))
			d.want(packets.Pingresp) // meanwhile
			d.wantAck(packets.Puback, 1, 0)
			if took := time.Since(began); took < 3*time.Second || took > 9*time.Second {
				t.Errorf("after %s", took)
			}
			if ids := h.ids(); len(ids) != 4 || ids[0] != ids[3] {
				t.Errorf("ids %q", ids)
			}
		})
	})
	t.Run("MQTT 3.1.1 cannot be told what never will be", func(t *testing.T) {
		serving(t, refuses(Verdict{Result: Refused, Code: 0x87}), Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, 4)
			d.publish(1, 1, "a", "x")
			d.wantEnd(packets.Code{})
			if ack := call(t, s, 4).want(packets.Connack); ack.ReasonCode != 3 { // it would send the same again
				t.Errorf("CONNACK %d at once", ack.ReasonCode)
			}
			time.Sleep(10 * time.Second)
			connect(t, s, 4)
		})
	})
	t.Run("QoS 0 is lost", func(t *testing.T) {
		h := refuses(Verdict{Result: Busy})
		serving(t, h, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, 4)
			d.publish(0, 0, "a", "x")
			time.Sleep(time.Minute)
			d.wantNothing()
			if got := h.payloads(); len(got) != 1 {
				t.Errorf("%q", got)
			}
		})
	})
}

func TestADeviceCannotHaveMoreUnderWayThanItMay(t *testing.T) {
	never := func() *takes {
		return &takes{answer: func(*Publication) Verdict { return Verdict{Result: Busy, Retry: time.Hour} }}
	}
	slow := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Minute); return Verdict{} }}
	t.Run("MQTT 5", func(t *testing.T) {
		serving(t, slow, Limits{InFlight: 3}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5)
			if d.ack.Properties.ReceiveMaximum != 3 {
				t.Errorf("receive maximum %d", d.ack.Properties.ReceiveMaximum)
			}
			for i := range 4 {
				d.publish(1, uint16(i+1), "a", "x")
			}
			d.wantEnd(packets.ErrReceiveMaximum)
		})
	})
	t.Run("MQTT 5, but not QoS 0", func(t *testing.T) {
		serving(t, slow, Limits{InFlight: 3}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5)
			d.publish(0, 0, "a", "x")
			for i := range 3 {
				d.publish(1, uint16(i+1), "a", "x")
			}
			d.send(d.packet(packets.Pingreq))
			d.want(packets.Pingresp)
		})
	})
	t.Run("MQTT 5, too many bytes", func(t *testing.T) {
		serving(t, slow, Limits{InFlightBytes: 1000}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5)
			d.publish(1, 1, "a", strings.Repeat("x", 2000)) // one is always taken
			d.publish(1, 2, "b", "x")
			d.wantAck(packets.Puback, 2, 0x97)
		})
	})
	t.Run("user properties", func(t *testing.T) {
		serving(t, slow, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5)
			d.publish(1, 1, "a", "x", func(p *packets.Packet) { p.Properties.User = make([]packets.UserProperty, 129) })
			d.wantEnd(packets.ErrPacketTooLarge)
			d = connect(t, s, 5)
			d.publish(1, 1, "a", "x", func(p *packets.Packet) {
				p.Properties.User = []packets.UserProperty{{Key: "k", Val: strings.Repeat("v", 16<<10)}}
			})
			d.wantEnd(packets.ErrPacketTooLarge)
		})
	})
	t.Run("a long topic", func(t *testing.T) {
		serving(t, slow, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, 5)
			d.publish(1, 1, strings.Repeat("a/", 3000), "x")
			d.wantEnd(packets.ErrTopicNameInvalid)
		})
	})
	t.Run("MQTT 3.1.1 is sent away for a while", func(t *testing.T) {
		serving(t, never(), Limits{InFlightBytes: 10}, func(t *testing.T, s *Server) {
			d := connect(t, s, 4)
			d.publish(1, 1, "a", "12345678")
			d.publish(1, 2, "b", "123")
			d.wantEnd(packets.Code{})
			if ack := call(t, s, 4).want(packets.Connack); ack.ReasonCode != 3 {
				t.Errorf("CONNACK %d at once", ack.ReasonCode)
			}
			time.Sleep(10 * time.Second)
			connect(t, s, 4)
		})
	})
	t.Run("QoS 0 is lost", func(t *testing.T) {
		h := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Minute); return Verdict{} }}
		serving(t, h, Limits{InFlight: 2}, func(t *testing.T, s *Server) {
			d := connect(t, s, 4)
			for i := range 5 {
				d.publish(0, 0, "a", fmt.Sprint(i))
			}
			time.Sleep(10 * time.Minute)
			if got := strings.Join(h.payloads(), ""); got != "01" {
				t.Errorf("%q", got)
			}
		})
	})
}

func TestTopicAliases(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{TopicAliases: 2}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		alias := func(n uint16) func(*packets.Packet) {
			return func(p *packets.Packet) { p.Properties.TopicAlias, p.Properties.TopicAliasFlag = n, true }
		}
		d.publish(1, 1, "a/b", "x", alias(2))
		d.wantAck(packets.Puback, 1, 0)
		d.publish(1, 2, "", "y", alias(2))
		d.wantAck(packets.Puback, 2, 0)
		if h.got[1].Topic != "a/b" {
			t.Errorf("%q", h.got[1].Topic)
		}
		d.publish(1, 3, "", "z", alias(1)) // never given
		d.wantEnd(packets.ErrTopicAliasInvalid)
		d = connect(t, s, 5)
		d.publish(1, 3, "a", "z", alias(3)) // too many
		d.wantEnd(packets.ErrTopicAliasInvalid)
	})
}

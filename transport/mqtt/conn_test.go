package mqtt

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestConnectIsRefusedWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		version byte
		change  func(*packets.Packet)
		code    byte
	}{
		"wrong password, 3.1.1":    {4, func(p *packets.Packet) { p.Connect.PasswordFlag, p.Connect.Password = true, []byte("wrong") }, 5},
		"wrong password, 5":        {5, func(p *packets.Packet) { p.Connect.PasswordFlag, p.Connect.Password = true, []byte("wrong") }, 0x86},
		"too busy to check, 3.1.1": {4, func(p *packets.Packet) { p.Connect.PasswordFlag, p.Connect.Password = true, []byte("many") }, 3},
		"too busy to check, 5":     {5, func(p *packets.Packet) { p.Connect.PasswordFlag, p.Connect.Password = true, []byte("many") }, 0x89},
		"no client id, 3.1.1":      {4, func(p *packets.Packet) { p.Connect.ClientIdentifier, p.Connect.Clean = "", false }, 2},
		"long client id":           {5, func(p *packets.Packet) { p.Connect.ClientIdentifier = strings.Repeat("x", 257) }, 0x85},
		"version 3.1":              {3, func(p *packets.Packet) { p.Connect.ProtocolName = []byte("MQIsdp") }, 1},
		"version 6":                {6, func(*packets.Packet) {}, 1},
		"enhanced authentication":  {5, func(p *packets.Packet) { p.Properties.AuthenticationMethod = "SCRAM" }, 0x8C},
		"retained will": {5, func(p *packets.Packet) {
			p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload, p.Connect.WillRetain = true, "w", []byte("x"), true
		}, 0x9A},
		"will to a wildcard": {5, func(p *packets.Packet) {
			p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, "w/#", []byte("x")
		}, 0x90},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
				d := call(t, s, c.version, c.change)
				if ack := d.want(packets.Connack); ack.ReasonCode != c.code {
					t.Errorf("%#x, not %#x", ack.ReasonCode, c.code)
				}
				if p := d.next(); p != nil {
					t.Errorf("%+v", p)
				}
			})
		})
	}
}

func TestConnackSaysWhatIsNotOffered(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, func(p *packets.Packet) {
			p.Connect.ClientIdentifier, p.Connect.Keepalive = "", 0
			p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = 1<<32-1, true
		})
		pr := d.ack.Properties
		if pr.AssignedClientID == "" || pr.ServerKeepAlive != 1200 || pr.SessionExpiryInterval != 3600 || pr.MaximumPacketSize != 256<<10 || pr.TopicAliasMaximum != 16 ||
			!pr.RetainAvailableFlag || pr.RetainAvailable != 0 || !pr.SharedSubAvailableFlag || pr.SharedSubAvailable != 0 || !pr.SubIDAvailableFlag || pr.SubIDAvailable != 0 {
			t.Errorf("%+v", pr)
		}
	})
}

func TestWhoBreaksTheProtocolIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(d *device)
		code packets.Code
	}{
		"second CONNECT": {func(d *device) {
			d.send(func() *packets.Packet {
				p := d.packet(packets.Connect)
				p.Connect.ProtocolName = []byte("MQTT")
				return p
			}())
		}, packets.ErrProtocolViolation},
		"wildcard in a topic": {func(d *device) { d.publish(1, 1, "a/#", "x") }, packets.ErrTopicNameInvalid},
		"retained message":    {func(d *device) { d.publish(1, 1, "a", "x", func(p *packets.Packet) { p.FixedHeader.Retain = true }) }, packets.ErrRetainNotSupported},
		"too large":           {func(d *device) { d.write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}) }, packets.ErrPacketTooLarge},
		"endless length":      {func(d *device) { d.write([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x80}) }, packets.ErrMalformedPacket},
		"cut SUBSCRIBE":       {func(d *device) { d.write([]byte{0x82, 6, 0, 1, 0, 0, 1, 'a'}) }, packets.ErrMalformedPacket},
		"silence":             {func(d *device) { time.Sleep(100 * time.Second) }, packets.ErrKeepAliveTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
				other := connect(t, s, 5, func(p *packets.Packet) { p.Connect.ClientIdentifier, p.Connect.Keepalive = "other", 600 })
				d := connect(t, s, 5)
				c.do(d)
				d.wantEnd(c.code)
				other.publish(1, 1, "a", "unharmed")
				other.wantAck(packets.Puback, 1, 0)
			})
		})
	}
}

func TestASessionThatWasToEndCannotBeKeptByGoodbye(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5)
		p := d.packet(packets.Disconnect)
		p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = 10, true
		d.send(p)
		d.wantEnd(packets.ErrProtocolViolation)
	})
}

// Whoever does not speak MQTT, or finds a bug, gets no answer and harms nobody.
func TestNoAnswerToStrangers(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		for name, raw := range map[string][]byte{
			"HTTP":         []byte("GET / HTTP/1.1\r\n\r\n"),
			"reserved bit": {0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 3, 0, 60, 0, 2, 'c', '1'},
			"no CONNECT":   {0xc0, 0},
			"will QoS 3":   {0x10, 20, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x1e, 0, 60, 0, 2, 'c', '1', 0, 1, 'w', 0, 1, 'x'},
			"a bug":        {0x10, 23, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 60, 0, 2, 'c', '1', 0, 2, 'd', '1', 0, 3, 'b', 'u', 'g'},
		} {
			ours, theirs := net.Pipe()
			go s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}})
			_ = ours.SetDeadline(time.Now().Add(time.Minute))
			_, _ = ours.Write(raw)
			if n, err := ours.Read(make([]byte, 10)); n != 0 || err != io.EOF {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
			_ = ours.Close()
		}
		connect(t, s, 4)
	})
}

func TestKeepAliveKeepsTheConnection(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 4)
		for range 5 {
			time.Sleep(80 * time.Second) // of 90 allowed
			d.send(d.packet(packets.Pingreq))
			d.want(packets.Pingresp)
		}
		time.Sleep(91 * time.Second)
		d.wantEnd(packets.Code{})
	})
}

// What a device showed counts for its time, however often it is heard.
func TestAConnectionEndsWithWhatTheDeviceShowed(t *testing.T) {
	password := func(text string) func(*packets.Packet) {
		return func(p *packets.Packet) { p.Connect.PasswordFlag, p.Connect.Password = true, []byte(text) }
	}
	keepAlive := func(s uint16) func(*packets.Packet) {
		return func(p *packets.Packet) { p.Connect.Keepalive = s }
	}
	for name, c := range map[string]struct {
		version   byte
		keepAlive uint16
		lasts     string
		silent    bool
		code      packets.Code
		after     time.Duration
	}{
		"5":                  {5, 60, "5m", false, packets.ErrMaxConnectTime, 5 * time.Minute},
		"3.1.1":              {4, 60, "5m", false, packets.Code{}, 5 * time.Minute},
		"without keep-alive": {4, 0, "5m", false, packets.Code{}, 5 * time.Minute},
		"silent, sooner":     {5, 60, "5m", true, packets.ErrKeepAliveTimeout, 90 * time.Second},
		"silent, later":      {5, 600, "5m", true, packets.ErrMaxConnectTime, 5 * time.Minute},
		"over already":       {5, 60, "-1s", true, packets.ErrMaxConnectTime, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := &takes{}
			serving(t, h, Limits{}, func(t *testing.T, s *Server) {
				began := time.Now()
				d := connect(t, s, c.version, password(c.lasts), keepAlive(c.keepAlive), func(p *packets.Packet) {
					p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, "gone", []byte("will")
				})
				other := connect(t, s, 5, keepAlive(0), func(p *packets.Packet) { p.Connect.ClientIdentifier = "other" })
				for range 14 {
					if !c.silent {
						time.Sleep(20 * time.Second)
						d.publish(0, 0, "a", "x")
					}
				}
				d.wantEnd(c.code)
				if took := time.Since(began); took != c.after {
					t.Errorf("ended after %v, want %v", took, c.after)
				}
				synctest.Wait()
				if got := h.payloads(); len(got) == 0 || got[len(got)-1] != "will" {
					t.Errorf("no will among %q", got)
				}
				other.publish(1, 1, "a", "unharmed")
				other.wantAck(packets.Puback, 1, 0)
			})
		})
	}
}

func TestWhoSaysNothingIsForgotten(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		began := time.Now()
		s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}})
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("after %s", took)
		}
	})
}

func TestAnotherConnectionTakesTheSessionOver(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		first := connect(t, s, 5, lasting)
		second := connect(t, s, 5, lasting)
		first.wantEnd(packets.ErrSessionTakenOver)
		if !second.ack.SessionPresent {
			t.Error("the session is new")
		}
		stranger := connect(t, s, 5, lasting, func(p *packets.Packet) { p.Connect.Username = []byte("d2") }) // same client id
		if stranger.ack.SessionPresent {
			t.Error("another device has the session")
		}
		second.send(second.packet(packets.Pingreq))
		second.want(packets.Pingresp)
	})
}

func TestSessionsEndInTime(t *testing.T) {
	serving(t, &takes{}, Limits{Sessions: 1}, func(t *testing.T, s *Server) {
		connect(t, s, 5, lasting).leave()
		time.Sleep(599 * time.Second)
		if d := connect(t, s, 5, lasting); !d.ack.SessionPresent {
			t.Error("it ended too early")
		} else {
			d.leave()
		}
		time.Sleep(601 * time.Second)
		if d := connect(t, s, 5, lasting); d.ack.SessionPresent {
			t.Error("it is still there")
		} else {
			d.leave()
		}
		connect(t, s, 5, lasting, func(p *packets.Packet) { p.Connect.ClientIdentifier = "second" }).leave()
		if d := connect(t, s, 5, lasting, func(p *packets.Packet) { p.Connect.ClientIdentifier = "second" }); d.ack.SessionPresent {
			t.Error("more are kept than may be")
		}
		if d := connect(t, s, 5); d.ack.SessionPresent {
			t.Error("a clean start found a session")
		}
	})
}

func TestWills(t *testing.T) {
	willed := func(delay uint32) func(*packets.Packet) {
		return func(p *packets.Packet) {
			lasting(p)
			p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload, p.Connect.WillQos = true, "gone", []byte("will"), 1
			p.Connect.WillProperties.WillDelayInterval = delay
		}
	}
	for name, c := range map[string]struct {
		delay uint32
		do    func(s *Server, d *device)
		sent  bool
	}{
		"vanished":                    {0, func(_ *Server, d *device) { d.vanish() }, true},
		"silent":                      {0, func(*Server, *device) { time.Sleep(91 * time.Second) }, true},
		"said goodbye, no properties": {0, func(_ *Server, d *device) { d.write([]byte{0xe0, 1, 4}) }, true},
		"said that it failed":         {0, func(_ *Server, d *device) { p := d.packet(packets.Disconnect); p.ReasonCode = 0x80; d.send(p) }, true},
		"taken over":                  {0, func(s *Server, d *device) { connect(d.t, s, 5, lasting).leave() }, true},
		"taken over, delayed":         {30, func(s *Server, d *device) { connect(d.t, s, 5, lasting).leave(); time.Sleep(time.Minute) }, false},
		"delayed, and began anew":     {300, func(s *Server, d *device) { d.vanish(); connect(d.t, s, 5).leave() }, true},
		"closed":                      {0, func(s *Server, _ *device) { s.Close() }, false},
		"said goodbye":                {0, func(_ *Server, d *device) { d.leave() }, false},
		"said goodbye, with will":     {0, func(_ *Server, d *device) { p := d.packet(packets.Disconnect); p.ReasonCode = 4; d.send(p) }, true},
		"delayed":                     {30, func(_ *Server, d *device) { d.vanish(); time.Sleep(31 * time.Second) }, true},
		"delayed, not yet":            {30, func(_ *Server, d *device) { d.vanish(); time.Sleep(29 * time.Second) }, false},
		"delayed, and came back":      {30, func(s *Server, d *device) { d.vanish(); connect(d.t, s, 5, lasting).leave(); time.Sleep(time.Minute) }, false},
		"delayed beyond the session":  {6000, func(_ *Server, d *device) { d.vanish(); time.Sleep(601 * time.Second) }, true},
		"drained":                     {0, func(s *Server, d *device) { _ = s.Shutdown(d.t.Context()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &takes{}
			serving(t, h, Limits{}, func(t *testing.T, s *Server) {
				c.do(s, connect(t, s, 5, willed(c.delay)))
				synctest.Wait()
				want := []string(nil)
				if c.sent {
					want = []string{"will"}
				}
				if got := h.payloads(); !slices.Equal(got, want) {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

func TestWillsHaveNamesOfTheirOwn(t *testing.T) {
	h := &takes{}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		for _, named := range []bool{false, false, true} {
			connect(t, s, 5, lasting, func(p *packets.Packet) {
				p.Connect.WillFlag, p.Connect.WillTopic = true, "gone" // and no payload
				if named {
					p.Connect.WillProperties.User = []packets.UserProperty{{Key: "ce-id", Val: "mine"}}
				}
			}).vanish()
		}
		synctest.Wait()
		if ids := h.ids(); len(ids) != 3 || ids[0] == ids[1] || ids[2] != "mine" {
			t.Errorf("%q", ids)
		}
	})
}

// A predecessor that does not read holds nobody up, and nothing is sent before
// CONNACK.
func TestTakeoverDoesNotWaitForTheOldConnection(t *testing.T) {
	h := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
	serving(t, h, Limits{}, func(t *testing.T, s *Server) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}})
		deaf := &device{t: t, conn: ours, version: 5}
		p := deaf.packet(packets.Connect)
		p.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: "c1", UsernameFlag: true, Username: []byte("d1")}
		lasting(p)
		deaf.send(p)
		_, _ = ours.Read(make([]byte, 100)) // CONNACK, and nothing more
		deaf.publish(1, 1, "a", "x")
		synctest.Wait()
		time.Sleep(time.Second - time.Millisecond)
		began := time.Now()
		d := connect(t, s, 5, lasting)
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("CONNACK after %s", took)
		}
		d.wantAck(packets.Puback, 1, 0)
	})
}

func TestUnknownDevicesShareNoSession(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		unknown := func(p *packets.Packet) { lasting(p); p.Connect.UsernameFlag = false; p.Connect.Username = nil }
		first := connect(t, s, 5, unknown)
		second := connect(t, s, 5, unknown)
		if second.ack.SessionPresent || second.ack.Properties.SessionExpiryInterval != 0 || !second.ack.Properties.SessionExpiryIntervalFlag {
			t.Errorf("%+v", second.ack)
		}
		first.send(first.packet(packets.Pingreq))
		first.want(packets.Pingresp)
	})
}

func TestADeviceKeepsFewSessions(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		for i := range 20 {
			connect(t, s, 5, lasting, func(p *packets.Packet) { p.Connect.ClientIdentifier = strings.Repeat("c", i+1) }).leave()
		}
		synctest.Wait()
		s.mu.Lock()
		if n := len(s.sessions); n != keptPerDevice {
			t.Errorf("%d", n)
		}
		s.mu.Unlock()
		time.Sleep(11 * time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.keptAll != 0 || len(s.kept) != 0 || len(s.sessions) != 0 {
			t.Errorf("%d, %v are left", s.keptAll, s.kept)
		}
	})
}

func TestQUICDevicesAreHeardMoreOften(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}, Silence: time.Minute})
		d := &device{t: t, conn: ours, version: 5, got: make(chan *packets.Packet, 1)}
		go d.read()
		p := d.packet(packets.Connect)
		p.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: "c1", Clean: true, Keepalive: 300}
		d.send(p)
		if ack := d.want(packets.Connack); ack.Properties.ServerKeepAlive != 30 {
			t.Errorf("%+v", ack.Properties)
		}
	})
}

// Promise: draining loses no acknowledged message, and none that was taken in
// goes unacknowledged.
func TestDrainAcknowledgesWhatItTook(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		h := &takes{answer: func(*Publication) Verdict { time.Sleep(2 * time.Second); return Verdict{} }}
		serving(t, h, Limits{}, func(t *testing.T, s *Server) {
			d := connect(t, s, version)
			d.publish(1, 1, "a", "x")
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			go func() {
				time.Sleep(time.Second)
				d.publish(1, 2, "b", "too late") // to be sent again, to another agent
			}()
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if got := h.payloads(); len(got) != 1 {
				t.Errorf("%q", got)
			}
			d.wantAck(packets.Puback, 1, 0)
			d.wantEnd(packets.ErrServerShuttingDown)
			if took := time.Since(began); took < 2*time.Second || took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			ours, theirs := net.Pipe()
			defer ours.Close()
			s.Serve(&Link{Conn: theirs, TLS: &tls.ConnectionState{}}) // ends at once
		})
	})
}

package mqtt

import (
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/transport"
)

func as(client string) func(*packets.Packet) {
	return func(p *packets.Packet) {
		lasting(p)
		p.Connect.ClientIdentifier = client
	}
}

func TestDevicesAreToldWhereToGoOnceWhatTheySentIsAcknowledged(t *testing.T) {
	for _, c := range []struct {
		elsewhere string
		code      packets.Code
	}{{"192.0.2.1:7443", packets.ErrUseAnotherServer}, {"", packets.ErrServerShuttingDown}} {
		slow := &takes{answer: func(*Publication) Verdict { time.Sleep(time.Second); return Verdict{} }}
		serving(t, slow, Limits{}, func(t *testing.T, s *Server) {
			s.cfg.Elsewhere = func() string { return c.elsewhere }
			busy := connect(t, s, 5, as("busy"))
			busy.publish(1, 7, "t", "x")
			old := connect(t, s, 4, as("old"))
			busy.wantNothing()
			if n := s.Move(10); n != 2 || s.Staying() != 0 {
				t.Errorf("%d moved, %d stay", n, s.Staying())
			}
			if n := s.Move(10); n != 0 {
				t.Errorf("%d moved again", n)
			}
			old.wantEnd(packets.Code{})
			busy.wantNothing()
			busy.wantAck(packets.Puback, 7, 0)
			p := busy.want(packets.Disconnect)
			if p.ReasonCode != c.code.Code || p.Properties.ServerReference != c.elsewhere {
				t.Errorf("DISCONNECT %#x, server %q", p.ReasonCode, p.Properties.ServerReference)
			}
			if len(s.Sessions("d1")) != 2 {
				t.Error("sessions ended with the connections")
			}
		})
	}
}

func TestNoMoreDevicesLeaveThanShall(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		for _, client := range []string{"a", "b", "c"} {
			connect(t, s, 5, as(client))
		}
		for left := 2; left >= 0; left-- {
			if n := s.Move(1); n != 1 || s.Staying() != left {
				t.Fatalf("%d moved, %d stay, want %d", n, s.Staying(), left)
			}
		}
	})
}

// What waited for a device that leaves is there when it comes back.
func TestCommandsOutliveAMove(t *testing.T) {
	serving(t, &takes{}, Limits{}, func(t *testing.T, s *Server) {
		d := connect(t, s, 5, lasting)
		d.subscribe(1, "commands/d1/#")
		fate := deliver(t, s, time.Minute, command("a"))
		d.want(packets.Publish)
		s.Move(1)
		d.wantEnd(packets.ErrServerShuttingDown)
		d = connect(t, s, 5, lasting)
		d.acknowledge(d.want(packets.Publish).PacketID, 0)
		wantFate(t, fate, transport.Delivered)
	})
}

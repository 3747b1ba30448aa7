package mqtt

import (
	"maps"
	"slices"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// enter and leave keep the index of sessions by device. The server's lock is
// held.
func (s *Server) enter(e *session) {
	s.sessions[e.key] = e
	if e.key.device != "" {
		e.sibling = s.devices[e.key.device]
		s.devices[e.key.device] = e
	}
}

func (s *Server) leave(e *session) {
	if s.sessions[e.key] == e {
		delete(s.sessions, e.key)
	}
	if s.devices[e.key.device] == e {
		if s.devices[e.key.device] = e.sibling; e.sibling == nil {
			delete(s.devices, e.key.device)
		}
		return
	}
	for o := s.devices[e.key.device]; o != nil; o = o.sibling {
		if o.sibling == e {
			o.sibling = e.sibling
			return
		}
	}
}

func (s *Server) changed(e *session) {
	if e.key.device != "" {
		s.cfg.Handler.Changed(e.key.device)
	}
}

// Devices returns the ids of devices that have sessions here, in no order.
func (s *Server) Devices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.devices))
}

// described is how many sessions of one device are told of: those whose client
// identifier came last.
const described = 16

// Sessions returns those of a device, at most 16.
func (s *Server) Sessions(device string) (all []transport.DeviceSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.devices[device]; e != nil && len(all) < described; e = e.sibling {
		all = append(all, e.describe())
	}
	return all
}

func (e *session) describe() transport.DeviceSession {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := transport.DeviceSession{
		Client: e.key.client, Protocol: transport.ProtocolMQTT, Epoch: e.epoch, Since: e.srv.began.Add(e.since), Connected: e.conn != nil,
	}
	if e.conn != nil {
		d.Remote = e.conn.link.RemoteAddr().String()
	} else {
		d.Left = e.srv.began.Add(e.left)
	}
	if e.out != nil {
		d.Filters = slices.Sorted(maps.Keys(e.out.filters))
		d.Waiting = len(e.out.queue) + len(e.out.sent)
	}
	return d
}

func (s *Server) clients(device string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.devices[device]; e != nil; e = e.sibling {
		all = append(all, e.key.client)
	}
	return all
}

// Device returns what is known of a device that has a session here.
func (s *Server) Device(id string) (d policy.Device, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.devices[id]
	if e == nil {
		return d, false
	}
	return e.device, true
}

// TakeOver ends a session because the device has a newer connection at another
// agent (0x8E, session taken over), unless it came to life again after a time.
// It returns the commands that the device did not acknowledge.
func (s *Server) TakeOver(device, client string, before time.Time) []*transport.Command {
	return s.endSession(device, client, before, packets.ErrSessionTakenOver)
}

// Kick ends all sessions of a device for an operator (0x98, administrative
// action) and returns how many there were.
func (s *Server) Kick(device string) (ended int) {
	for _, client := range s.clients(device) {
		s.endSession(device, client, time.Now(), packets.ErrAdministrativeAction)
		ended++
	}
	return ended
}

func (s *Server) endSession(device, client string, before time.Time, why packets.Code) []*transport.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.sessions[sessionKey{device, client}]
	if e == nil || s.began.Add(e.since).After(before) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	left := e.orphan()
	if why == packets.ErrSessionTakenOver {
		e.cancelWill() // the device lives
	}
	if old := e.detach(); old != nil {
		s.metrics.takenOver.Inc()
		s.working.Go(func() {
			old.ended.Store(why == packets.ErrSessionTakenOver)
			old.dismiss(why)
		})
	}
	s.finish(e)
	s.changed(e)
	return left
}

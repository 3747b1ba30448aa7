package events

import (
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// Devices returns the ids of devices that listen here, in no order.
func (s *Server) Devices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.streams))
}

// Device returns what is known of a device that listens here.
func (s *Server) Device(id string) (d policy.Device, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.streams[id]
	if len(all) == 0 {
		return d, false
	}
	return all[len(all)-1].Device, true
}

// Sessions returns the streams of a device.
func (s *Server) Sessions(device string) (all []transport.DeviceSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams[device] {
		all = append(all, transport.DeviceSession{
			Client: st.Client, Protocol: transport.ProtocolHTTP, Epoch: st.Epoch, Connected: true, Since: st.since, Remote: st.remote,
			Filters: slices.Clone(st.Filters), Waiting: len(st.queue) + len(st.waiting),
		})
	}
	return all
}

// TakeOver ends a stream because the device has a newer one at another agent,
// unless it began after a time. It returns the commands that the device did not
// acknowledge.
func (s *Server) TakeOver(device, client string, before time.Time) (left []*transport.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range slices.Clone(s.streams[device]) {
		if st.Client == client && !st.since.After(before) {
			left = append(left, s.endLocked(st, nil)...)
		}
	}
	return left
}

// Kick ends all streams of a device and returns how many there were.
func (s *Server) Kick(device string) (ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range slices.Clone(s.streams[device]) {
		s.endLocked(st, nil)
		ended++
	}
	return ended
}

// Dismiss tells a device to go elsewhere: to a server, if one is named, after a
// time. It returns the commands that the device did not acknowledge.
func (s *Server) Dismiss(device, server string, retry time.Duration) (left []*transport.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range slices.Clone(s.streams[device]) {
		left = append(left, s.endLocked(st, &leave{Server: server, RetryMS: retry.Milliseconds()})...)
	}
	return left
}

// Close takes no more streams and ends those that are open.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, all := range s.streams {
		for _, st := range slices.Clone(all) {
			s.endLocked(st, nil)
		}
	}
	s.metrics.unregister(s.cfg.Metrics)
}

package events

import (
	"maps"
	"math/rand/v2"
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

// returnsWithin is when devices that have to leave shall be back, elsewhere.
const returnsWithin = 2 * time.Second

// Move has the streams of up to n devices end with a word where to go: what
// elsewhere returns, "" where nothing is known. It returns the commands that they
// did not acknowledge, by device; none of nobody: no device is left.
func (s *Server) Move(n int, elsewhere func() string) map[string][]*transport.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := map[string][]*transport.Command{}
	for device, all := range s.streams {
		if len(moved) == n {
			break
		}
		last := &leave{Server: elsewhere(), RetryMS: rand.Int64N(returnsWithin.Milliseconds())}
		moved[device] = nil
		for _, st := range slices.Clone(all) {
			moved[device] = append(moved[device], s.endLocked(st, last)...)
		}
	}
	return moved
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

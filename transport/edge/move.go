package edge

// Move has up to n connections that speak HTTP leave for another agent, and
// returns how many; 0: none is left. Over HTTP/3 they are told at once (GOAWAY, RFC
// 9114, section 5.2), over TCP with the next answer; requests under way finish.
func (s *Server) Move(n int) (moved int) {
	for _, c := range s.open() {
		if moved == n {
			break
		}
		if !c.movable() || !c.moving.CompareAndSwap(false, true) {
			continue
		}
		moved++
		if c.http3 != nil {
			s.owned.Go(func() { _ = c.http3.Shutdown(s.life) })
		}
	}
	return moved
}

// Staying returns how many connections that speak HTTP have not been told to
// leave.
func (s *Server) Staying() (n int) {
	for _, c := range s.open() {
		if c.movable() && !c.moving.Load() {
			n++
		}
	}
	return n
}

func (c *connection) movable() bool { return !c.mqtt.Load() && (c.quic == nil || c.http3 != nil) }

// Kick ends the connections that speak HTTP of a device, and returns how many.
func (s *Server) Kick(device string) (closed int) {
	for _, c := range s.open() {
		if d := c.device.Load(); d != nil && d.ID == device && !c.mqtt.Load() {
			c.cut()
			closed++
		}
	}
	return closed
}

package device

import "slices"

// commandsAtOnce is how many commands wait for the handler: MQTT's receive
// maximum.
const commandsAtOnce = 16

// repeatsKnown is how many commands that were done are recognised when they are
// delivered again.
const repeatsKnown = 128

// order is a command, and who wants to know what became of it.
type order struct {
	command Command
	answer  func(error)
}

// obey has the handler do what comes, one after the other.
func (c *Client) obey() {
	var done []string // the last ones
	for {
		select {
		case <-c.life.Done():
			return
		case o := <-c.orders:
			id := o.command.ID
			if id != "" && slices.Contains(done, id) {
				o.answer(nil)
				continue
			}
			err := c.cfg.Handler(c.life, o.command)
			if err == nil && id != "" {
				if done = append(done, id); len(done) > repeatsKnown {
					done = slices.Delete(done, 0, 1)
				}
			}
			o.answer(err)
		}
	}
}

package gossip

import "time"

// A whole vector learned from a probe makes one hop over the LAN. All gateways
// probe, so the n-th one in turn waits n steps: when another's copy arrives
// meanwhile it has nothing to do.

// fanoutBudget bounds what one gateway's fan-out may use; vectors then go out
// less often, down to once in fanoutSlowest.
const (
	fanoutBudget  = 4 << 20 // bytes a second
	fanoutSlowest = 5 * time.Second
)

// fanout is one region's vector on its way to the LAN.
type fanout struct {
	pending bool
	due     time.Time
	sent    time.Time
}

func (m *Mesh) planFanout(r *region, now time.Time) {
	due := now.Add(time.Duration(m.turn(r.name)) * m.cfg.Timing.FanoutStep)
	if earliest := r.fanout.sent.Add(m.fanoutGap(len(r.base.frame))); due.Before(earliest) {
		due = earliest
	}
	if !r.fanout.pending || due.Before(r.fanout.due) {
		r.fanout.due = due
	}
	r.fanout.pending = true
}

// fanoutSeen: another gateway sent this version to all.
func (m *Mesh) fanoutSeen(r *region) {
	if r.name != m.cfg.Region {
		r.fanout.pending = false
	}
}

// fanoutGap is the least time between two vectors of one region.
func (m *Mesh) fanoutGap(size int) time.Duration {
	t := &m.cfg.Timing
	gap := t.VectorChange
	if size > maxDatagram {
		gap = t.VectorRepeat
	}
	bytes := float64(size) * float64(len(m.book.lan)) * float64(max(len(m.book.regions), 1))
	budgeted := time.Duration(bytes / fanoutBudget * float64(time.Second))
	return max(gap, min(budgeted, fanoutSlowest)) - t.Tick/2
}

func (m *Mesh) fanOut(now time.Time) {
	for _, r := range m.book.regions {
		if !r.fanout.pending || now.Before(r.fanout.due) {
			continue
		}
		r.fanout.pending, r.fanout.sent = false, now
		m.send(sending{
			pool: m.lan, to: m.others(), frame: r.base.frame,
			topic: "vector/" + r.name, reliable: len(r.base.frame) > maxDatagram,
		})
	}
}

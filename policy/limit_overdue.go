package policy

import "time"

// A request that is given up before the service answers took at least as long as
// it waited. Where nearly all end so, no answers tell of latency, and a limit that
// follows those alone would stay where it is for ever, with a queue inside of the
// service in which everything grows too old.
const (
	overdueMost  = 4   // times as many as were answered: too few answers are left to learn from
	overdueSteep = 0.5 // of itself that the limit falls to at a time
)

// givenUp counts the requests that nobody waited for any longer.
type givenUp struct {
	count int64
	sum   time.Duration
}

// inVain says that as many as hold a slot, or as make a measurement, were given
// up, and few were answered meanwhile.
func (m *measurement) inVain(limit, samples int64) bool {
	return m.overdue.count >= min(limit, samples) && m.overdue.count > overdueMost*m.latency.count()
}

// settling is how long a change of the limit takes to show.
func (m *measurement) settling() time.Duration {
	n := m.latency.count()
	sum := m.latency.mean()*time.Duration(n) + m.overdue.sum
	return sum / time.Duration(max(1, n+m.overdue.count))
}

// retreat lowers the limit although nothing was learned of the service. As soon
// as answers come without congestion, it grows by doubling again.
func (l *limiter) retreat() {
	l.set(l.limit * overdueSteep)
	l.evidence.forget()
	l.probe.question = question{}
	l.grown = false
}

package policy

import "time"

// AdmissionConfig holds the bounds of an Admission. A field out of its range
// counts as its default.
type AdmissionConfig struct {
	// StartLimit is how many requests may be in flight before anything was
	// learned; 1 to MaxLimit, default 8.
	StartLimit int
	// MinLimit is the least the limit falls to; 1 to StartLimit, default 1.
	MinLimit int
	// MaxLimit is the most the limit grows to; 1 to 1,000,000, default 10,000.
	MaxLimit int

	// Window is the time between ticks, over which latency is measured; 1 ms to
	// 10 s, default 100 ms.
	Window time.Duration
	// MinSamples is how many answers a measurement takes: where fewer come in a
	// window, several windows count together; 1 to 10,000, default 50.
	MinSamples int

	// QueueBound is how many requests may wait at most; it is never more than
	// twice the limit or 64, whichever is more. 1 to 100,000, default 512.
	QueueBound int
	// LongestWait is how long a request may wait, or the service's usual latency
	// where that is longer (up to a second); 1 ms to 10 s, default 20 ms. What
	// spilled in may wait twice as long, a critical request 250 ms or half of what
	// its deadline leaves.
	LongestWait time.Duration
}

// DefaultAdmissionConfig returns the defaults of every field.
func DefaultAdmissionConfig() AdmissionConfig {
	return AdmissionConfig{
		StartLimit: 8, MinLimit: 1, MaxLimit: 10_000,
		Window: 100 * time.Millisecond, MinSamples: 50,
		QueueBound: 512, LongestWait: 20 * time.Millisecond,
	}
}

func (c AdmissionConfig) withDefaults() AdmissionConfig {
	d := DefaultAdmissionConfig()
	c.MaxLimit = within(c.MaxLimit, 1, 1_000_000, d.MaxLimit)
	c.StartLimit = within(c.StartLimit, 1, c.MaxLimit, min(d.StartLimit, c.MaxLimit))
	c.MinLimit = within(c.MinLimit, 1, c.StartLimit, d.MinLimit)
	c.Window = within(c.Window, time.Millisecond, 10*time.Second, d.Window)
	c.MinSamples = within(c.MinSamples, 1, 10_000, d.MinSamples)
	c.QueueBound = within(c.QueueBound, 1, 100_000, d.QueueBound)
	c.LongestWait = within(c.LongestWait, time.Millisecond, 10*time.Second, d.LongestWait)
	return c
}

func within[T int | time.Duration](value, least, most, otherwise T) T {
	if value < least || value > most {
		return otherwise
	}
	return value
}

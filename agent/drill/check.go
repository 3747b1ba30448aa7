package drill

import (
	"fmt"
	"time"
)

const (
	minDuration = time.Second
	maxDuration = 50 * time.Minute // shorter than a fault may last
	maxRate     = 100000           // requests a second
	maxRequests = 5_000_000        // all are kept until the verdict
	maxDevices  = 10000
	maxWarmUp   = time.Minute
	maxAttempts = 100
)

// checker makes a drill of the blocks of a file.
type checker struct {
	source
	*Drill
}

func (c checker) check(b *drillBlock) (*Drill, error) {
	c.Name, c.Hypothesis = b.Name, b.Hypothesis
	var err error
	if c.Duration, err = parseDuration(b.Duration, minDuration, maxDuration); err != nil {
		return nil, c.invalid(where(b.Body, b.Place, "duration"), "duration %v", err)
	}
	if err := c.meshOf(b.Mesh); err != nil {
		return nil, err
	}
	if err := c.trafficOf(b); err != nil {
		return nil, err
	}
	if err := c.ledgerOf(b.Ledger); err != nil {
		return nil, err
	}
	for n := range b.Steps {
		if err := c.addStep(&b.Steps[n]); err != nil {
			return nil, err
		}
	}
	for n := range b.Aborts {
		if err := c.addAbort(&b.Aborts[n]); err != nil {
			return nil, err
		}
	}
	for n := range b.Invariants {
		if err := c.addInvariant(&b.Invariants[n]); err != nil {
			return nil, err
		}
	}
	if len(c.Invariants) == 0 {
		return nil, c.invalid(b.Place, "no invariant: a drill must say what should hold")
	}
	return c.Drill, nil
}

func parseDuration(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: write a duration from %s to %s, like \"10s\"", text, least, most)
	}
	return d, nil
}

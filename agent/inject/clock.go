package inject

import (
	"sync/atomic"
	"time"
)

// clock is the system's, off by something. The time between two readings is right
// unless it was shifted meanwhile.
type clock struct{ off atomic.Int64 }

func (c *clock) shift(by time.Duration) { c.off.Add(int64(by)) }

func (c *clock) at(t time.Time) time.Time { return t.Add(time.Duration(c.off.Load())) }

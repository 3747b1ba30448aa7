package device

import (
	"context"
	"time"
)

// try is an attempt that was made.
type try struct {
	attempt
	rtt     time.Duration
	greeted bool  // the connection stood, err is the answer to the greeting
	err     error // nil: there was a connection
}

// reached is a try, and the connection that came of it.
type reached struct {
	try
	conn conn // nil: none
}

// sentAway is an agent's answer to a greeting.
type sentAway struct{ farewell }

func (e *sentAway) Error() string { return e.why.Error() }
func (e *sentAway) Unwrap() error { return e.why }

// voyage is one round of attempts, until one of them leads to a link.
type voyage struct {
	client *Client
	list   []attempt // not begun
	grace  time.Duration
	epoch  uint64
	tried  []try

	begun, back int // attempts
	results     chan *reached
	start       time.Time
}

// graceLeast is how long nearer places are waited for, at least; else half as
// long as the first one took.
const graceLeast = 20 * time.Millisecond

// run returns the link, or nil.
func (v *voyage) run(ctx context.Context) *link {
	v.results = make(chan *reached, len(v.list))
	for len(v.list) > 0 && ctx.Err() == nil {
		got := v.race(ctx)
		if got == nil {
			return nil
		}
		l, err := v.greet(ctx, got)
		if err == nil {
			return l
		}
		got.conn.close()
		got.try.greeted, got.try.err = true, err
		v.tried = append(v.tried, got.try)
	}
	return nil
}

// race begins attempts one after the other and returns the connection to the
// nearest of the places that answered first; nil: nothing answered. What it
// began is over when it returns.
func (v *voyage) race(ctx context.Context) *reached {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.start = time.Now()
	best := v.first(ctx)
	if best != nil && v.grace > 0 {
		best = v.nearest(best, time.After(max(v.grace, time.Since(v.start)/2)))
	}
	cancel()
	for v.back < v.begun {
		best = nearer(best, v.take(<-v.results))
	}
	return best
}

// first waits for the first connection.
func (v *voyage) first(ctx context.Context) (best *reached) {
	next := time.NewTimer(0)
	defer next.Stop()
	for best == nil && (len(v.list) > 0 || v.back < v.begun) {
		select {
		case <-next.C:
			v.begin(ctx)
		case r := <-v.results:
			if best = v.take(r); best == nil {
				v.begin(ctx) // in its place
			}
		}
		if len(v.list) > 0 {
			next.Reset(time.Until(v.start.Add(v.list[0].after)))
		}
	}
	return best
}

// nearest lets others be nearer for a while.
func (v *voyage) nearest(best *reached, over <-chan time.Time) *reached {
	for v.back < v.begun {
		select {
		case r := <-v.results:
			best = nearer(best, v.take(r))
		case <-over:
			return best
		}
	}
	return best
}

func (v *voyage) begin(ctx context.Context) {
	if len(v.list) == 0 {
		return
	}
	a := v.list[0]
	v.list = v.list[1:]
	v.begun++
	v.client.working.Go(func() { v.results <- v.client.dialer.reach(ctx, a) })
}

// take notes a result and returns it if it is a connection.
func (v *voyage) take(r *reached) *reached {
	v.back++
	v.tried = append(v.tried, r.try)
	if r.conn == nil {
		return nil
	}
	return r
}

// nearer closes the connection that is not as good; either may be nil.
func nearer(a, b *reached) *reached {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case b.rtt < a.rtt:
		a, b = b, a
	}
	b.conn.close()
	return a
}

// greet makes a link of a connection.
func (v *voyage) greet(ctx context.Context, r *reached) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, v.client.cfg.DialTimeout)
	defer cancel()
	credentials, err := v.client.cfg.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{conn: r.conn, client: v.client, place: r.place, wire: r.wire, rtt: r.rtt, limit: v.client.cfg.InFlight}
	if v.client.cfg.Protocol == HTTP3 {
		err = v.greetHTTP(ctx, l, r.conn, credentials)
	} else {
		err = v.greetMQTT(ctx, l, r.conn, credentials)
	}
	return l, err
}

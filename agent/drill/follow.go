package drill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
)

// event is a fault's beginning or end.
type event struct {
	at  time.Duration
	say string
	do  func(context.Context) error
}

func (r *run) events() []event {
	var all []event
	for n := range r.Steps {
		s := &r.Steps[n]
		begin, end := r.doing(s)
		all = append(all, event{s.At, s.String(), begin})
		if s.For > 0 {
			all = append(all, event{s.At + s.For, "over: " + s.String(), end})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return all
}

// doing is what the beginning and the end of a step do to the mesh. What the
// load does is in its own plan.
func (r *run) doing(s *Step) (begin, end func(context.Context) error) {
	switch {
	case s.Order != nil:
		order, release := r.order(s), admin.OverrideRequest{Action: admin.ActionRelease, Region: s.Order.Region}
		return func(ctx context.Context) error { return r.mesh.order(ctx, order) },
			func(ctx context.Context) error { return r.mesh.order(ctx, release) }
	case s.Load != nil || s.Leave != nil:
		nothing := func(context.Context) error { return nil }
		return nothing, nothing
	}
	f := r.fault(s)
	return func(ctx context.Context) error { return r.mesh.AddFault(ctx, f) },
		func(ctx context.Context) error { return r.mesh.RemoveFault(ctx, f.ID) }
}

// follow goes along the time line once the load says when it began, and calls over
// when there is no reason to go on. It ends with ctx.
func (r *run) follow(ctx context.Context, over func(), began <-chan time.Time) error {
	defer over()
	var start time.Time
	select {
	case <-ctx.Done():
		return nil
	case start = <-began:
	}
	r.record.began = start.Add(r.lead())
	end := r.record.began.Add(r.Duration)
	r.end.Store(&end)
	if !wait(ctx, time.Until(r.record.began)) || !r.isSteady() {
		return nil
	}
	watched := make(chan *Abortion, 1)
	go func() {
		broke := r.watch(ctx)
		if broke != nil {
			over()
		}
		watched <- broke
	}()
	err := r.play(ctx)
	if err != nil {
		over()
	}
	<-ctx.Done() // with the load
	if broke := <-watched; broke != nil {
		r.giveUp(ctx, broke)
	}
	return err
}

func (r *run) isSteady() bool {
	var holds bool
	r.steady, holds = r.Steady.judge(r.record)
	r.sick = !holds
	if !r.sick {
		fmt.Fprintf(r.out, "  the steady state holds\n")
	}
	return holds
}

// play carries out the events until ctx ends.
func (r *run) play(ctx context.Context) error {
	for _, e := range r.events() {
		if !wait(ctx, time.Until(r.record.began.Add(e.at))) {
			return nil
		}
		err := r.notePlans(ctx)
		if err == nil {
			fmt.Fprintf(r.out, "  %5.1f s  %s\n", e.at.Seconds(), e.say)
			err = e.do(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", e.say, err)
		}
	}
	return nil
}

func (r *run) notePlans(ctx context.Context) error {
	counts, err := r.mesh.planChanges(ctx)
	r.record.plans = append(r.record.plans, counts)
	return err
}

package flood

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"
)

// send takes a request to its end, with its client's retries.
func (r *run) send(ctx context.Context, j *job) {
	res := &j.result
	due := r.began.Add(res.Due)
	res.Late = time.Since(due)
	shot := Shot{Kind: &r.plan.Kinds[res.Kind]}
	if r.plan.Retry.Attempts > 1 {
		shot.ID = strconv.FormatUint(j.seed, 36)
	}
	from := due
	for {
		shot.Deadline = from.Add(r.plan.Timeout)
		ans := j.device.Send(ctx, &shot)
		res.Attempts++
		res.Status, res.Edge, res.Reason = uint16(ans.Status), uint8(ans.Edge), ans.Reason
		if res.OK() || int(res.Attempts) >= r.plan.Retry.Attempts || !r.rest(ctx, j, ans) {
			break
		}
		from = time.Now()
	}
	res.Took = time.Since(due)
}

// rest waits until the next attempt may be made.
func (r *run) rest(ctx context.Context, j *job, ans Answer) bool {
	wait := ans.RetryAfter
	if wait == 0 {
		rng := rand.New(rand.NewPCG(j.seed, uint64(j.result.Attempts)))
		wait = time.Duration((0.5 + rng.Float64()) * float64(r.plan.Retry.Wait<<(j.result.Attempts-1)))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

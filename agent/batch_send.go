package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// fate is what became of a batch: turned away, failed, or answered.
type fate struct {
	door   *door // that turned it away; nil: none did
	admit  policy.Admit
	failed *failure
	status int
	header http.Header
	each   map[int]int // status by place, of messages that the service answered one by one
}

// errBatchLost is of a batch whose sending ended with the agent, or by a bug.
var errBatchLost = errors.New("the batch was not sent to its end")

// send takes a batch the way of every request. It asks for its slot with the
// highest rank in it: each of its messages was let in by its own, and by the lowest
// nearly every batch would be refused as soon as anything is.
func (b *batch) send(ctx context.Context, first *journey) {
	b.failed = &failure{err: errBatchLost, reason: reasonUpstream}
	ctx, cancel := context.WithDeadline(ctx, first.deadline)
	defer cancel()
	defer abandoned()
	x := b.request(ctx, first.exchange)
	b.exchange = x
	defer x.leave()
	j := journey{exchange: x, ctx: ctx, order: first.order, next: first.next}
	if d, admit := j.admit(x.enter); admit.Verdict != policy.Admitted {
		b.door, b.admit = d, admit
		return
	}
	x.agent.retries.Deposit(x.decision.Route.Class)
	ans, failed := j.travel()
	switch {
	case failed == nil:
		x.learned(ans)
		b.take(ans)
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && !failed.shed:
		b.failed = &failure{err: failed.err, reason: reasonTimeout}
	default:
		b.failed = failed
	}
}

// request is the exchange that stands for all messages of a batch.
func (b *batch) request(ctx context.Context, first *exchange) *exchange {
	header := http.Header{"Content-Type": {"application/cloudevents-batch+json"}}
	if b.key.repeatable {
		header["Idempotency-Key"] = []string{strconv.Quote("batch-" + strconv.FormatUint(rand.Uint64(), 36))}
	}
	text := append(append([]byte{'['}, bytes.Join(b.events, []byte{','})...), ']')
	r := &http.Request{Method: http.MethodPost, Host: first.r.Host, Header: header, Proto: first.r.Proto, Body: http.NoBody}
	return &exchange{
		agent: first.agent, view: first.view, r: r.WithContext(ctx), decision: first.decision, started: b.began,
		body: &body{length: int64(len(text)), small: text},
		passage: passage{
			gate: first.gate, rank: b.rank, timeout: first.timeout, deadline: first.deadline, messages: len(b.events), judged: true,
			sample: policy.Sample{Outcome: policy.OutcomeAbandoned, Class: first.decision.Route.Class, Messages: len(b.events)},
		},
	}
}

// take reads an answer, and what it says of each message.
func (b *batch) take(ans *answer) {
	outcome := policy.OutcomeFailed
	defer func() {
		_ = ans.body.Close()
		ans.done(outcome)
	}()
	text, err := io.ReadAll(io.LimitReader(ans.body, resultsMost+1))
	if err == nil && ans.status < 300 && jsonType(ans.header.Get("Content-Type")) {
		b.each, err = resultsOf(text, b.names)
	}
	if err != nil {
		b.failed = &failure{err: err, reason: reasonUpstream}
		return
	}
	outcome = answerOutcome(ans.status)
	boundRetryAfter(ans.header, time.Now())
	b.failed, b.status, b.header = nil, ans.status, ans.header
}

// settle tells one message of a batch what became of it; false: the batch was
// refused for what it holds, which may be the fault of another one, so that this one
// has to be sent by itself.
func (b *batch) settle(x *exchange, place int) bool {
	if b.splits() {
		return false
	}
	if of := b.exchange; of != nil {
		x.region, x.instance, x.attempts = of.region, of.instance, of.attempts
	}
	switch {
	case x.r.Context().Err() != nil:
		x.abandon()
	case b.door != nil:
		x.turnAway(b.door, b.admit)
	case b.failed != nil:
		x.fail(x.r.Context(), b.failed)
	default:
		x.answeredInBatch(b, place)
	}
	return true
}

// splits: a service that does not know batches says 415 to one message, too.
func (b *batch) splits() bool {
	switch b.status {
	case http.StatusUnsupportedMediaType:
		return true
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return len(b.events) > 1
	}
	return false
}

func (x *exchange) answeredInBatch(b *batch, place int) {
	x.status, x.waited = b.status, time.Since(x.started)
	if own, ok := b.each[place]; ok {
		x.status = own
	}
	if retry := b.header["Retry-After"]; retry != nil {
		x.w.Header()["Retry-After"] = retry
	}
	x.w.WriteHeader(x.status)
}

package policy

import (
	"sync"
	"testing"
	"time"
)

var retryTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// spendAll empties a bucket and says how many retries it held.
func spendAll(b *RetryBudget, c Class, crossRegion bool, now time.Time) int {
	n := 0
	for b.Spend(c, crossRegion, now) {
		n++
	}
	return n
}

func TestRetriesAreAShareOfRequests(t *testing.T) {
	b := NewRetryBudget(retryTime)
	spendAll(b, Normal, false, retryTime)
	spendAll(b, Normal, true, retryTime)
	for range 500 {
		b.Deposit(Normal)
	}
	if n := spendAll(b, Normal, false, retryTime); n != 50 {
		t.Errorf("%d retries in the region for 500 requests, want 50", n)
	}
	if n := spendAll(b, Normal, true, retryTime); n != 10 {
		t.Errorf("%d retries across regions for 500 requests, want 10", n)
	}
}

func TestClassesDoNotSpendEachOthersBudget(t *testing.T) {
	b := NewRetryBudget(retryTime)
	for range 100 {
		b.Deposit(Bulk)
	}
	if n := spendAll(b, Bulk, false, retryTime); n != 11 {
		t.Errorf("bulk has %d, want 11", n)
	}
	for _, c := range []Class{Normal, High, Critical} {
		if n := spendAll(b, c, false, retryTime); n != 1 {
			t.Errorf("%s has %d, want 1", c, n)
		}
	}
}

func TestABudgetIsBounded(t *testing.T) {
	b := NewRetryBudget(retryTime)
	for range 100_000 {
		b.Deposit(High)
	}
	if in, cross := spendAll(b, High, false, retryTime), spendAll(b, High, true, retryTime); in != 100 || cross != 50 {
		t.Errorf("%d in the region, %d across, want 100 and 50", in, cross)
	}
}

func TestAnIdleAgentMayRetryOnceInTenSeconds(t *testing.T) {
	b, now := NewRetryBudget(retryTime), retryTime
	spent := 0
	for range 40_000 { // ten minutes, asked all the time
		now = now.Add(15 * time.Millisecond)
		if b.Spend(Normal, true, now) {
			spent++
		}
	}
	if spent < 59 || spent > 61 {
		t.Errorf("%d retries in ten minutes, want 60 and the first", spent)
	}
	if n := spendAll(b, Normal, false, now.Add(time.Hour)); n != 1 {
		t.Errorf("an idle hour saves up %d", n)
	}
}

func TestAClockThatJumpsBackGivesNothing(t *testing.T) {
	b := NewRetryBudget(retryTime)
	spendAll(b, Normal, false, retryTime)
	if b.Spend(Normal, false, retryTime.Add(-time.Hour)) {
		t.Error("a retry from a clock that went back")
	}
}

func TestABudgetIsNotOverspentByMany(t *testing.T) {
	b := NewRetryBudget(retryTime)
	for range 990 {
		b.Deposit(Normal)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	total := 0
	for range 8 {
		all.Go(func() {
			n := spendAll(b, Normal, false, retryTime)
			mu.Lock()
			total += n
			mu.Unlock()
		})
	}
	all.Wait()
	if total != 100 {
		t.Errorf("%d spent of 100", total)
	}
}

func TestAnUnknownClassHasABudgetToo(t *testing.T) {
	if !NewRetryBudget(retryTime).Spend(Class(200), false, retryTime) {
		t.Error("refused")
	}
}

func TestWhatMayBeSentAgain(t *testing.T) {
	failed := Attempt{Outcome: OutcomeFailed, BodyReplayable: true, Method: "POST"}
	with := func(change func(*Attempt)) Attempt { a := failed; change(&a); return a }
	for name, c := range map[string]struct {
		attempt Attempt
		want    bool
	}{
		"POST that may have been processed":  {failed, false},
		"POST that was not sent":             {with(func(a *Attempt) { a.NotSent = true }), true},
		"POST with a key":                    {with(func(a *Attempt) { a.IdempotencyKey = true }), true},
		"POST on an idempotent route":        {with(func(a *Attempt) { a.Idempotent = IdempotentAlways }), true},
		"PATCH":                              {with(func(a *Attempt) { a.Method = "PATCH" }), false},
		"GET":                                {with(func(a *Attempt) { a.Method = "GET" }), true},
		"PUT":                                {with(func(a *Attempt) { a.Method = "PUT" }), true},
		"DELETE":                             {with(func(a *Attempt) { a.Method = "DELETE" }), true},
		"unknown method":                     {with(func(a *Attempt) { a.Method = "get" }), false},
		"GET on a route that is not":         {with(func(a *Attempt) { a.Method = "GET"; a.Idempotent = IdempotentNever }), false},
		"key on a route that is not":         {with(func(a *Attempt) { a.IdempotencyKey = true; a.Idempotent = IdempotentNever }), false},
		"not sent on a route that is not":    {with(func(a *Attempt) { a.NotSent = true; a.Idempotent = IdempotentNever }), true},
		"GET whose body is gone":             {with(func(a *Attempt) { a.Method = "GET"; a.BodyReplayable = false }), false},
		"not sent, but the body is gone":     {with(func(a *Attempt) { a.NotSent = true; a.BodyReplayable = false }), false},
		"GET refused for overload":           {with(func(a *Attempt) { a.Method = "GET"; a.Outcome = OutcomeRefused }), false},
		"not sent, refused for overload":     {with(func(a *Attempt) { a.NotSent = true; a.Outcome = OutcomeRefused }), false},
		"GET whose client went away":         {with(func(a *Attempt) { a.Method = "GET"; a.Outcome = OutcomeAbandoned }), false},
		"GET that was answered":              {with(func(a *Attempt) { a.Method = "GET"; a.Outcome = OutcomeOK }), false},
		"idempotent route, body is streamed": {with(func(a *Attempt) { a.Idempotent = IdempotentAlways; a.BodyReplayable = false }), false},
	} {
		got, reason := Retriable(c.attempt)
		if got != c.want || reason == "" {
			t.Errorf("%s: %v (%s), want %v", name, got, reason, c.want)
		}
	}
}

func BenchmarkRetryDeposit(b *testing.B) {
	budget := NewRetryBudget(retryTime)
	b.ReportAllocs()
	for b.Loop() {
		budget.Deposit(Normal)
		budget.Spend(Normal, false, retryTime)
	}
}

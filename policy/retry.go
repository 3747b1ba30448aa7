package policy

import (
	"sync/atomic"
	"time"
)

const (
	wholeRetry         = 1000 // a retry, in the thousandths that deposits are counted in
	inRegionDeposit    = wholeRetry * 10 / 100
	crossRegionDeposit = wholeRetry * 2 / 100
	inRegionMost       = 100 * wholeRetry
	crossRegionMost    = 50 * wholeRetry
	floorEvery         = 10 * time.Second // a bucket that holds less than one retry gains one in this time
)

// RetryBudget limits retries to a share of requests, for each class apart: 10%
// within the region, 2% across regions, with 100 and 50 kept at most, and a
// floor of one in ten seconds. Safe for concurrent use, lock-free, does not
// allocate.
//
// Moving a request away from a region or an instance that is known to be gone
// before anything was sent there is no retry and spends nothing.
//
// Source of the idea: Finagle's RetryBudget; the shares are Tidegate's.
type RetryBudget struct {
	classes [Critical + 1]classBudget
}

type classBudget struct{ inRegion, crossRegion retryBucket }

type retryBucket struct {
	tokens  atomic.Int64 // thousandths of a retry
	floorAt atomic.Int64 // Unix time in ns that the floor is paid up to
}

// NewRetryBudget returns a budget with one retry at hand in each bucket.
func NewRetryBudget(now time.Time) *RetryBudget {
	b := new(RetryBudget)
	for c := range b.classes {
		for _, bucket := range []*retryBucket{&b.classes[c].inRegion, &b.classes[c].crossRegion} {
			bucket.tokens.Store(wholeRetry)
			bucket.floorAt.Store(now.UnixNano())
		}
	}
	return b
}

// Deposit counts the first attempt of a request of class c.
func (b *RetryBudget) Deposit(c Class) {
	b.of(c).inRegion.deposit(inRegionDeposit, inRegionMost)
	b.of(c).crossRegion.deposit(crossRegionDeposit, crossRegionMost)
}

// Spend takes one retry of class c from the budget; false: there is none left,
// and the request must not be sent again.
func (b *RetryBudget) Spend(c Class, crossRegion bool, now time.Time) bool {
	bucket := &b.of(c).inRegion
	if crossRegion {
		bucket = &b.of(c).crossRegion
	}
	bucket.payFloor(now)
	return bucket.take()
}

func (b *RetryBudget) of(c Class) *classBudget { return &b.classes[min(c, Critical)] }

func (b *retryBucket) deposit(amount, most int64) {
	for {
		held := b.tokens.Load()
		if held >= most {
			return
		}
		if b.tokens.CompareAndSwap(held, min(held+amount, most)) {
			return
		}
	}
}

func (b *retryBucket) take() bool {
	for {
		held := b.tokens.Load()
		if held < wholeRetry {
			return false
		}
		if b.tokens.CompareAndSwap(held, held-wholeRetry) {
			return true
		}
	}
}

// payFloor pays what a bucket gains by time alone. Whole thousandths only, so
// that calling it often loses nothing.
func (b *retryBucket) payFloor(now time.Time) {
	const perThousandth = int64(floorEvery) / wholeRetry
	paid := b.floorAt.Load()
	gain := (now.UnixNano() - paid) / perThousandth
	if gain <= 0 || !b.floorAt.CompareAndSwap(paid, paid+gain*perThousandth) {
		return
	}
	b.deposit(min(gain, wholeRetry), wholeRetry)
}

package policy

import "time"

// RetryBudget limits retries to a share of requests.
type RetryBudget struct{}

// NewRetryBudget returns a budget with one retry at hand for each class.
func NewRetryBudget(now time.Time) *RetryBudget { return &RetryBudget{} }

// Deposit counts one first attempt.
func (b *RetryBudget) Deposit(c Class) {}

// Spend takes one retry from the budget, or refuses.
func (b *RetryBudget) Spend(c Class, crossRegion bool, now time.Time) bool { return false }

// Attempt describes a failed attempt.
type Attempt struct {
	Method         string
	Idempotent     Idempotence // what the route says
	IdempotencyKey bool        // the request carries an Idempotency-Key or a ce-id
	NotSent        bool        // known not to have been processed
	BodyReplayable bool        // the body can be sent again whole
	Outcome        Outcome
}

// Retriable says whether the request may be sent once more, and why.
func Retriable(a Attempt) (bool, string) { return false, "" }

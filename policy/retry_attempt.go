package policy

// Attempt is a failed attempt at a request.
type Attempt struct {
	Method         string
	Idempotent     Idempotence // what the route says
	IdempotencyKey bool        // the request carries an Idempotency-Key or a ce-id that services know
	NotSent        bool        // the service is known not to have seen it
	BodyReplayable bool        // there is no body, or it can be sent again whole
	Outcome        Outcome
}

// Retriable says whether the request may be sent once more, and why. What may
// have been processed is sent again only when the route, the method (RFC 9110,
// section 9.2.2) or the client's key says that this does no harm; an overload
// answer is never followed by more load.
func Retriable(a Attempt) (bool, string) {
	switch {
	case a.Outcome == OutcomeOK:
		return false, "it was answered"
	case a.Outcome == OutcomeRefused:
		return false, "the service is overloaded"
	case a.Outcome == OutcomeAbandoned:
		return false, "the client went away"
	case !a.BodyReplayable:
		return false, "the body cannot be sent again"
	case a.NotSent:
		return true, "it was not sent"
	case a.Idempotent == IdempotentAlways:
		return true, "the route says it is idempotent"
	case a.Idempotent == IdempotentNever:
		return false, "the route says it is not idempotent"
	case idempotentMethod(a.Method):
		return true, a.Method + " is idempotent"
	case a.IdempotencyKey:
		return true, "it carries an idempotency key"
	}
	return false, a.Method + " is not idempotent and may have been processed"
}

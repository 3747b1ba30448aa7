package upstream

import "errors"

// Kinds of errors, for errors.Is. An error may be of several kinds.
var (
	// ErrNotSent: the instance cannot have processed the request and nothing of
	// Request.Body was consumed; the same Request may go to another instance.
	ErrNotSent = errors.New("request not sent")
	// ErrDial: no connection could be made. Always ErrNotSent too.
	ErrDial = errors.New("instance unreachable")
	// ErrBusy: MaxPerInstance connections are in use. Always ErrNotSent too.
	ErrBusy = errors.New("instance busy")
	// ErrRequest: the request breaks RFC 9112 and was not written.
	ErrRequest = errors.New("request invalid")
	// ErrTimeout: no response head within HeaderTimeout, no connection within
	// DialTimeout, or the context's deadline passed.
	ErrTimeout = errors.New("timed out")
	// ErrStale: a kept connection was closed by the instance before the first
	// byte of an answer. The instance may have processed the request, unless
	// the error is ErrNotSent too.
	ErrStale = errors.New("connection was stale")
	// ErrProtocol: the instance's answer breaks RFC 9112 or a limit of Config.
	ErrProtocol = errors.New("answer invalid")
	// ErrBroken: the connection ended after the request was sent and before the
	// answer was complete, or the context ended meanwhile.
	ErrBroken = errors.New("connection broken")
	// ErrBody: reading Request.Body failed, or its length was not ContentLength.
	ErrBody = errors.New("request body failed")
	// ErrClosed: the Client is closed. Always ErrNotSent too.
	ErrClosed = errors.New("client closed")
)

// Error is every error of Do and of Response.Body.
type Error struct {
	Op      string // what failed: "dial", "send request", "read response head", "read response body"
	Addr    string // of the instance
	Kind    error  // one of the kinds above
	NotSent bool   // also of kind ErrNotSent
	Err     error  // cause; may be nil
}

func (e *Error) Error() string {
	text := "upstream " + e.Addr + ": " + e.Op + ": " + e.Kind.Error()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if hint := e.hint(); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

// Is reports whether target is a kind of e.
func (e *Error) Is(target error) bool {
	switch target {
	case e.Kind:
		return true
	case ErrNotSent:
		return e.NotSent
	case ErrTimeout:
		return isTimeout(e.Err)
	}
	return false
}

// Unwrap gives the cause, so that context.Canceled and the like can be found.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) hint() string {
	switch e.Kind {
	case ErrDial:
		return "check that the instance listens there and that its catalog entry is current"
	case ErrBusy:
		return "raise the limit of connections an instance, or add instances"
	case ErrTimeout:
		return "check the instance's load, or raise the timeout"
	case ErrProtocol:
		return "the service's HTTP/1.1 is at fault; correct it there"
	}
	return ""
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// violation is a breach of RFC 9112, or of a limit, by the instance.
type violation string

func (v violation) Error() string { return string(v) }

package agent

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/upstream"
	"github.com/tidegate/tidegate/policy"
)

// relay streams an answer to the device: head, body as it comes, trailers.
func (x *exchange) relay(ans *answer) {
	outcome := policy.OutcomeFailed
	defer func() {
		_ = ans.body.Close()
		ans.done(outcome)
	}()
	h := x.w.Header()
	copyHeader(h, ans.header)
	boundRetryAfter(h, x.agent.conditions.Now())
	x.decision.ApplyResponse(h)
	x.status, x.waited = ans.status, time.Since(x.started)
	x.w.WriteHeader(ans.status)
	if err := x.copyBody(ans); err != nil {
		if x.cutOff(err); x.reason == reasonCanceled {
			outcome = policy.OutcomeAbandoned
		}
		panic(http.ErrAbortHandler) // a status is out already: the device must see that this is not all
	}
	outcome = answerOutcome(ans.status)
	for name, values := range ans.trailer() {
		if !passes(name) {
			continue
		}
		for _, v := range values {
			h.Add(http.TrailerPrefix+name, v)
		}
	}
}

func copyHeader(dst, src http.Header) {
	for name, values := range src {
		if passes(name) {
			dst[name] = values
		}
	}
	for _, listed := range src["Connection"] {
		for name := range strings.SplitSeq(listed, ",") {
			dst.Del(strings.TrimSpace(name))
		}
	}
}

// errDeviceGone: the answer could not be written to the device.
var errDeviceGone = errors.New("device gone")

// copyBody never holds back what has arrived: the answer may be a stream of
// events.
func (x *exchange) copyBody(ans *answer) error {
	switch {
	case ans.length == 0 || x.r.Method == http.MethodHead:
		return drain(ans.body)
	case ans.local != nil:
		return x.copyLocal(ans.local)
	}
	return x.copyFar(ans)
}

func (x *exchange) copyLocal(resp *upstream.Response) error {
	_, err := resp.CopyTo(x.w, x.flush)
	if _, theirs := errors.AsType[*upstream.Error](err); err == nil || theirs {
		return err
	}
	return errors.Join(errDeviceGone, err)
}

func (x *exchange) flush() error { return http.NewResponseController(x.w).Flush() }

func (x *exchange) copyFar(ans *answer) error {
	buf := x.agent.buffers.Get().(*[copyBuffer]byte)
	defer x.agent.buffers.Put(buf)
	if ans.length < 0 {
		_ = x.flush() // the next write tells
	}
	for left := ans.length; ; {
		n, err := ans.body.Read(buf[:])
		if n > 0 {
			if _, werr := x.w.Write(buf[:n]); werr != nil {
				return errors.Join(errDeviceGone, werr)
			}
			if left -= int64(n); left != 0 {
				_ = x.flush()
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// copyBuffer is the size of the pieces that an answer is copied in, in bytes.
const copyBuffer = 32 << 10

// cutOff says why an answer cannot be completed.
func (x *exchange) cutOff(err error) {
	if x.reason = reasonOf(err); errors.Is(err, errDeviceGone) || x.r.Context().Err() != nil {
		x.reason = reasonCanceled
	}
}

package agent

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// relay streams an answer to the device: head, body as it comes, trailers.
func (x *exchange) relay(ans *answer) {
	defer ans.body.Close()
	h := x.w.Header()
	copyHeader(h, ans.header)
	x.decision.ApplyResponse(h)
	x.status = ans.status
	x.w.WriteHeader(ans.status)
	err := x.copyBody(ans)
	ans.done(err != nil && !errors.Is(err, errDeviceGone))
	if err != nil {
		x.cutOff(err)
		return
	}
	for name, values := range ans.trailer() {
		for _, v := range values {
			h.Add(http.TrailerPrefix+name, v)
		}
	}
}

func copyHeader(dst, src http.Header) {
	for name, values := range src {
		dst[name] = values
	}
	for _, listed := range src["Connection"] {
		for name := range strings.SplitSeq(listed, ",") {
			dst.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(dst, name)
	}
}

// errDeviceGone: the answer could not be written to the device.
var errDeviceGone = errors.New("device gone")

// copyBody flushes after every piece of a body of unknown length: it may be a
// stream of events.
func (x *exchange) copyBody(ans *answer) error {
	if ans.length == 0 || x.r.Method == http.MethodHead {
		return drain(ans.body)
	}
	buf := x.agent.buffers.Get().(*[copyBuffer]byte)
	defer x.agent.buffers.Put(buf)
	var flusher http.Flusher
	if ans.length < 0 {
		flusher, _ = x.w.(http.Flusher)
		if flusher != nil {
			flusher.Flush()
		}
	}
	for {
		n, err := ans.body.Read(buf[:])
		if n > 0 {
			if _, werr := x.w.Write(buf[:n]); werr != nil {
				return errors.Join(errDeviceGone, werr)
			}
			if flusher != nil {
				flusher.Flush()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyBuffer is the size of the pieces that an answer is copied in, in bytes.
const copyBuffer = 32 << 10

// cutOff ends an answer that cannot be completed so that the device sees it is
// not whole: a status is out already.
func (x *exchange) cutOff(err error) {
	if x.reason = reasonOf(err); errors.Is(err, errDeviceGone) || x.r.Context().Err() != nil {
		x.reason = reasonCanceled
	}
	panic(http.ErrAbortHandler)
}

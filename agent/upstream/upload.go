package upstream

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// upload writes the rest of a request while its answer may already be read. It
// is one goroutine, which ends with the body, or at the first error: closing nc
// ends its writes, the caller's own request ends its reads.
type upload struct {
	nc      net.Conn
	unsent  []byte    // goes first
	body    io.Reader // may be nil
	left    int64     // length of body; -1: chunked
	trailer func() http.Header
	timeout time.Duration // for the response head, from the end of the upload
	done    chan struct{}
	err     error       // valid after done; *bodyError when the source is at fault
	last    atomic.Bool // the rest is being written, or was

	mu       sync.Mutex
	answered bool // the response head has arrived; guards the read deadline
}

// bodyError marks a failure of the request's body, not of the connection.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

const (
	chunkRoom = 10 // bytes kept free before data for "size CRLF"
	chunkTail = 2
)

// run uses buf, which may hold unsent, until it returns.
func (u *upload) run(buf []byte) {
	u.err = u.send(buf)
	_, broken := u.err.(*bodyError)
	if u.err == nil {
		u.startHeaderTimeout()
	}
	close(u.done)
	if broken {
		u.nc.Close()
	}
}

func (u *upload) send(buf []byte) error {
	u.last.Store(u.body == nil)
	if len(u.unsent) > 0 {
		if _, err := u.nc.Write(u.unsent); err != nil {
			return err
		}
	}
	switch {
	case u.body == nil:
		return nil
	case u.left < 0:
		return u.sendChunked(buf)
	}
	return u.sendSized(buf)
}

func (u *upload) sendSized(buf []byte) error {
	for left := u.left; left > 0; {
		n, err := u.body.Read(buf[:min(int64(len(buf)), left)])
		if n > 0 {
			u.last.Store(int64(n) == left)
			if _, err := u.nc.Write(buf[:n]); err != nil {
				return err
			}
			left -= int64(n)
		}
		switch {
		case left == 0:
		case err == io.EOF:
			return &bodyError{errShortBody}
		case err != nil:
			return &bodyError{err}
		}
	}
	return nil
}

func (u *upload) sendChunked(buf []byte) error {
	data := buf[chunkRoom : len(buf)-chunkTail]
	for {
		n, err := u.body.Read(data)
		var chunk []byte
		if n > 0 {
			chunk = frameChunk(buf, n)
		}
		if err == io.EOF {
			if chunk, err = appendLastChunk(chunk, u.trailer); err != nil {
				return &bodyError{err}
			}
			u.last.Store(true)
			_, err = u.nc.Write(chunk)
			return err
		}
		if len(chunk) > 0 {
			if _, err := u.nc.Write(chunk); err != nil {
				return err
			}
		}
		if err != nil {
			return &bodyError{err}
		}
	}
}

// frameChunk puts the size before n bytes of data that begin at chunkRoom, and
// CRLF after them.
func frameChunk(buf []byte, n int) []byte {
	var room [chunkRoom]byte
	size := append(strconv.AppendInt(room[:0], int64(n), 16), "\r\n"...)
	begin := chunkRoom - len(size)
	copy(buf[begin:], size)
	copy(buf[chunkRoom+n:], "\r\n")
	return buf[begin : chunkRoom+n+chunkTail]
}

func appendLastChunk(b []byte, trailer func() http.Header) ([]byte, error) {
	b = append(b, "0\r\n"...)
	if trailer != nil {
		allowed := http.Header{}
		for key, values := range trailer() {
			if trailerAllowed(key) && httpguts.ValidHeaderFieldName(key) {
				allowed[key] = values
			}
		}
		var err error
		if b, err = appendFields(b, allowed); err != nil {
			return b, err
		}
	}
	return append(b, "\r\n"...), nil
}

func (u *upload) startHeaderTimeout() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.timeout > 0 && !u.answered {
		u.nc.SetReadDeadline(time.Now().Add(u.timeout))
	}
}

// headArrived ends the header timeout.
func (u *upload) headArrived() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered = true
	if u.timeout > 0 {
		u.nc.SetReadDeadline(time.Time{})
	}
}

// lastMoment is how long the end of an upload is waited for whose last bytes are
// being written: who answered them may be faster than this process.
const lastMoment = 10 * time.Millisecond

// endsNow says whether the upload has ended, or does so at once where that is
// worth waiting for.
func (u *upload) endsNow(worth bool) bool {
	if u.ended() || !worth || !u.last.Load() {
		return u.ended()
	}
	late := time.NewTimer(lastMoment)
	defer late.Stop()
	select {
	case <-u.done:
		return true
	case <-late.C:
		return false
	}
}

func (u *upload) ended() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

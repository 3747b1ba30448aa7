package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http/httpguts"
)

// HTTP. A device posts each message to the path of its topic:
//
//	POST /.tidegate/topics/v1/devices/d1/alarms
//	Idempotency-Key: "ID"
//
// It asks for commands with GET /.tidegate/messages, and gets them as
// server-sent events; see listen.go.
const (
	pathTopics   = "/.tidegate/topics/"
	pathMessages = "/.tidegate/messages"
	answerMost   = 16 << 10 // bytes of an answer that are looked at
	userAgent    = "tidegate-device"
)

type httpSpeaker struct {
	link  *link
	conn  conn
	web   web
	base  url.URL
	who   Credentials
	epoch uint64
	life  context.Context // ends with close
	end   context.CancelFunc
}

// web is HTTP on one connection, of either version.
type web interface {
	http.RoundTripper
	// whenOver has f called once the connection has ended.
	whenOver(f func(error))
	// going says that the agent takes no more requests on it.
	going(error) bool
	ping(context.Context)
}

func (v *voyage) greetHTTP(ctx context.Context, l *link, c conn, who Credentials) (err error) {
	s := &httpSpeaker{link: l, conn: c, who: who, epoch: v.epoch, base: url.URL{Scheme: "https", Host: l.place.Addr}}
	switch c := c.(type) {
	case quicConn:
		s.web, err = newWeb3(ctx, c)
	case *tlsConn:
		u := s.base
		u.Path = pathMessages
		s.web, err = newWeb2(ctx, c, s.request(ctx, http.MethodHead, &u, nil))
	}
	if err != nil {
		return fmt.Errorf("HTTP with %s: %w", l.place.Addr, err)
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	l.speaker = s
	return nil
}

func (s *httpSpeaker) begin() {
	s.web.whenOver(func(err error) { s.link.over(plain(err)) })
	if len(s.link.client.cfg.Commands) > 0 {
		s.link.client.working.Go(s.listen)
	}
}

func (s *httpSpeaker) ping() {
	s.link.client.working.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, s.link.client.cfg.DialTimeout)
		defer cancel()
		s.web.ping(ctx)
	})
}

func (s *httpSpeaker) close(bool) {
	s.end()
	s.conn.close()
}

func (s *httpSpeaker) send(e *entry, m *Message) {
	s.link.client.working.Go(func() { s.link.answer(e, s.post(m)) })
}

func (s *httpSpeaker) post(m *Message) outcome {
	ctx, cancel := context.WithTimeout(s.life, s.link.client.cfg.AckTimeout)
	defer cancel()
	req := s.request(ctx, http.MethodPost, s.topicURL(m.Topic), m.Payload)
	for name, value := range m.Properties {
		if mayBeField(name, value) {
			req.Header.Set(name, value)
		}
	}
	if m.ContentType != "" {
		req.Header.Set("Content-Type", m.ContentType)
	}
	req.Header.Set("Idempotency-Key", `"`+m.ID+`"`)
	resp, err := s.web.RoundTrip(req)
	if err != nil {
		if s.web.going(err) {
			s.link.leave(farewell{why: fmt.Errorf("%w: %w", ErrLeaving, err)})
			return outcome{result: unsent}
		}
		return outcome{result: failed, reason: err.Error()}
	}
	defer resp.Body.Close()
	return httpOutcome(resp, time.Now())
}

// topicURL escapes each level of a topic.
func (s *httpSpeaker) topicURL(topic string) *url.URL {
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		levels[i] = url.PathEscape(level)
	}
	u := s.base
	u.Path, u.RawPath = pathTopics+topic, pathTopics+strings.Join(levels, "/")
	return &u
}

func (s *httpSpeaker) request(ctx context.Context, method string, u *url.URL, body []byte) *http.Request {
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	req.Header.Set("User-Agent", userAgent)
	switch {
	case s.who.Token != "":
		req.Header.Set("Authorization", "Bearer "+s.who.Token)
	case s.who.Username != "":
		req.SetBasicAuth(s.who.Username, s.who.Password)
	}
	return req
}

// ownFields are those that say something about the request itself.
var ownFields = []string{
	"Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "Host",
	"Idempotency-Key", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

// mayBeField says whether a property can go as a header field; others do not
// arrive.
func mayBeField(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) && !slices.Contains(ownFields, http.CanonicalHeaderKey(name))
}

// httpOutcome reads an answer to a message.
func httpOutcome(resp *http.Response, now time.Time) outcome {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	o := outcome{reason: problem(resp, body)}
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return outcome{}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		o.result, o.after = busy, retryAfter(resp.Header, now)
	case code == http.StatusUnauthorized, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusMisdirectedRequest, code/100 == 5:
		o.result = failed
	default:
		o.result = refused
	}
	return o
}

// problem is what an answer says for people (RFC 9457).
func problem(resp *http.Response, body []byte) string {
	var p struct{ Reason, Detail, Title string }
	_ = json.Unmarshal(body, &p) // not everybody answers so
	parts := []string{strconv.Itoa(resp.StatusCode)}
	for _, part := range []string{p.Reason, p.Detail} {
		if part != "" {
			parts = append(parts, clip(part, 256))
		}
	}
	if len(parts) == 1 {
		parts = append(parts, http.StatusText(resp.StatusCode))
	}
	return strings.Join(parts, " ")
}

// retryAfter is how long to wait (RFC 9110, section 10.2.3), an hour at most.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const least, most = time.Second, time.Hour
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(max(time.Duration(seconds)*time.Second, least), most)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), least), most)
	}
	return least
}

// web3 is HTTP/3.
type web3 struct {
	*http3.ClientConn
	conn quicConn
}

// newWeb3 waits for the agent's settings: it sends none to a device that it does
// not accept.
func newWeb3(ctx context.Context, c quicConn) (*web3, error) {
	w := &web3{(&http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: answerMost}).NewClientConn(c.Conn), c}
	select {
	case <-w.ReceivedSettings():
		return w, nil
	case <-c.Context().Done():
		return nil, context.Cause(c.Context())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *web3) whenOver(f func(error)) {
	ctx := w.conn.Context()
	context.AfterFunc(ctx, func() { f(context.Cause(ctx)) })
}

// going tells GOAWAY from errors of the stream or the whole connection.
func (w *web3) going(err error) bool {
	_, stream := errors.AsType[*http3.Error](err)
	return !stream && w.conn.Context().Err() == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// greaseStream is a type of unidirectional stream that means nothing and that
// every server ignores (RFC 9114, section 6.2.3).
const greaseStream = 0x21

// ping opens a stream for nothing, because quic-go has no ping to send.
func (w *web3) ping(context.Context) {
	if s, err := w.conn.OpenUniStream(); err == nil {
		_, _ = s.Write([]byte{greaseStream})
		_ = s.Close()
	}
}

// web2 is HTTP/2 on TLS.
type web2 struct {
	*http.ClientConn
	conn *tlsConn
	look *http.Request // whose answer does not matter
}

// newWeb2 waits for an answer: a device that is not accepted gets none.
func newWeb2(ctx context.Context, c *tlsConn, look *http.Request) (*web2, error) {
	t := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true, MaxResponseHeaderBytes: answerMost,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c.Conn, nil },
	}
	t.Protocols.SetHTTP2(true)
	cc, err := t.NewClientConn(ctx, "https", look.URL.Host)
	if err != nil {
		return nil, err
	}
	w := &web2{cc, c, look}
	return w, w.see(ctx)
}

func (w *web2) whenOver(f func(error)) { w.conn.counted.whenOver(f) }

func (w *web2) going(err error) bool {
	return w.Err() != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// ping makes a request, because net/http sends no ping when asked to.
func (w *web2) ping(ctx context.Context) { _ = w.see(ctx) }

func (w *web2) see(ctx context.Context) error {
	resp, err := w.RoundTrip(w.look.WithContext(ctx))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

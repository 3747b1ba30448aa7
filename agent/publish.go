package agent

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
	"github.com/tidegate/tidegate/transport/mqtt"
)

// publisher takes what devices publish over MQTT the way of every message.
type publisher struct{ *Agent }

// Identify tells a device by its certificate, or by what CONNECT carries.
func (p publisher) Identify(ctx context.Context, cs tls.ConnectionState, c mqtt.Credentials) (policy.Device, error) {
	return p.identifyMQTT(ctx, cs, c)
}

// Ordered asks the policy.
func (p publisher) Ordered(pub *mqtt.Publication) bool {
	v := p.view.Load()
	if v.Policy == nil || !v.Policy.MayPassEachOther() {
		return true
	}
	m := messageOfPublication(postOf(context.Background(), pub), pub)
	if limit := v.Policy.PayloadLimit(&m); len(pub.Payload) <= limit {
		m.Payload = pub.Payload
	}
	return v.Policy.Ordered(&m)
}

// Subscribe asks the policy.
func (p publisher) Subscribe(d policy.Device, filter string) bool { return p.mayListen(d, filter) }

// Changed is for the homes of devices.
func (p publisher) Changed(device string) { p.devices.Changed(device) }

func messageOfPublication(r *http.Request, pub *mqtt.Publication) policy.Message {
	m := messageOf(r, pub.Device)
	m.Method = policy.MethodPublish
	return m
}

// Publish sends a message on as an HTTP POST in CloudEvents' binary mode.
func (p publisher) Publish(ctx context.Context, pub *mqtt.Publication) mqtt.Verdict {
	a := p.Agent
	r := postOf(ctx, pub)
	w := &publishWriter{header: http.Header{}}
	x := &exchange{agent: a, view: a.view.Load(), w: w, r: r, started: time.Now(), pub: pub}
	x.message = messageOfPublication(r, pub)
	x.body = &body{length: int64(len(pub.Payload)), small: pub.Payload}
	x.begin()
	func() {
		defer x.finish()
		defer abandoned()
		x.run()
	}()
	return publishVerdict(x, w)
}

// abandoned takes the panic by which an exchange ends whose answer nobody wants.
func abandoned() {
	if r := recover(); r != nil && r != http.ErrAbortHandler {
		panic(r)
	}
}

// postOf is the request that a service gets of a publication.
func postOf(ctx context.Context, pub *mqtt.Publication) *http.Request {
	h := make(http.Header, len(pub.Properties)+9)
	for _, p := range pub.Properties {
		if httpguts.ValidHeaderFieldName(p.Key) && httpguts.ValidHeaderFieldValue(p.Value) {
			h.Add(p.Key, p.Value)
		}
	}
	transport.StripEdge(h)
	for _, name := range ownHeaders {
		h.Del(name)
	}
	setEvent(h, pub)
	path := policy.TopicPath(pub.Topic)
	u := &url.URL{Path: "/" + pub.Topic, RawPath: path}
	r := &http.Request{
		Method: http.MethodPost, URL: u, Host: pub.Host, Header: h, RemoteAddr: pub.Client.String(), TLS: pub.TLS,
		Proto: "MQTT", Body: http.NoBody, ContentLength: int64(len(pub.Payload)),
	}
	return r.WithContext(ctx)
}

// ownHeaders are not for user properties to set.
var ownHeaders = [...]string{"Host", "Content-Length", "Content-Type", "Idempotency-Key", "Authorization"}

// setEvent describes a publication (CloudEvents 1.0, HTTP binding, section 3.1).
func setEvent(h http.Header, pub *mqtt.Publication) {
	contentType := pub.ContentType
	if contentType == "" || !httpguts.ValidHeaderFieldValue(contentType) {
		contentType = "application/octet-stream"
	}
	h["Content-Type"] = []string{contentType}
	h["Ce-Specversion"] = []string{"1.0"}
	h["Ce-Type"] = []string{eventType}
	h["Ce-Id"] = []string{eventValue(pub.ID)}
	h["Ce-Source"] = []string{eventSource(pub)}
	h["Ce-Subject"] = []string{eventValue(pub.Topic)}
	h["Ce-Time"] = []string{eventTime(pub)}
	if pub.QoS > 0 { // the service can tell a repetition
		h["Idempotency-Key"] = []string{strconv.QuoteToASCII(pub.ID)}
	}
}

// eventValue encodes an attribute for a header (CloudEvents HTTP binding, section
// 3.1.3.2).
func eventValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// publishWriter keeps of an answer what a publisher can be told.
type publishWriter struct {
	header http.Header
	status int
}

func (w *publishWriter) Header() http.Header { return w.header }

func (w *publishWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *publishWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}

// FlushError exists for answers that are streamed.
func (w *publishWriter) FlushError() error { return nil }

// publishVerdict turns an answer into MQTT's words.
func publishVerdict(x *exchange, w *publishWriter) mqtt.Verdict {
	v := mqtt.Verdict{Reason: x.reason}
	if v.Reason == "" && w.status >= 300 {
		v.Reason = "the service answered " + strconv.Itoa(w.status)
	}
	if seconds, err := strconv.Atoi(w.header.Get("Retry-After")); err == nil {
		v.Retry = time.Duration(seconds) * time.Second
	}
	v.Result, v.Code = outcomeOfPublish(x, w.status)
	return v
}

func outcomeOfPublish(x *exchange, status int) (mqtt.Result, mqtt.Code) {
	switch {
	case x.reason == reasonNoRoute:
		return mqtt.Refused, mqtt.TopicNameInvalid
	case x.reason == reasonBadRequest:
		return mqtt.Refused, mqtt.ImplementationSpecificError
	case x.shed, x.reason == reasonRate, status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && x.reason == "":
		return mqtt.Busy, mqtt.QuotaExceeded
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return mqtt.Refused, mqtt.NotAuthorized
	case status >= 200 && status < 300 && x.reason == "":
		return mqtt.Accepted, mqtt.Success
	case x.reason != "" || status >= 500 || status < 200:
		return mqtt.Failed, mqtt.UnspecifiedError
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity, status == http.StatusUnsupportedMediaType:
		return mqtt.Refused, mqtt.PayloadFormatInvalid
	}
	return mqtt.Refused, mqtt.ImplementationSpecificError
}

package agent

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// problem is the machine-readable reason of a refusal (RFC 9457), the body of
// every answer that the agent itself makes up. Its title is that of the status.
type problem struct {
	Status       int
	Detail       string // may be empty
	Class        string // may be empty
	Reason       string
	RetryAfterMS int64 // 0: not said
}

// Reasons of refusals, as answers, metrics and access logs name them. Those of
// what is shed are policy.ShedReason's.
const (
	reasonNoRoute    = "no-route"
	reasonAccess     = "access-denied"
	reasonUnknown    = "unknown-device"
	reasonRate       = "rate-limited"
	reasonNoRegion   = "no-region"
	reasonNoInstance = "no-instance"
	reasonTimeout    = "timeout"
	reasonUpstream   = "upstream-failed"
	reasonMeshLost   = "mesh-lost"
	reasonNoPolicy   = "no-policy"
	reasonBadRequest = "bad-request"
	reasonBody       = "body-failed"
	reasonCanceled   = "canceled"
	reasonDraining   = "draining"
	reasonInjected   = "fault-injected"

	reasonUnknownCommand = "unknown-command"
)

// writeProblem answers. It spends little, because refusing has to be cheap.
func writeProblem(w http.ResponseWriter, p problem) {
	body := p.appendJSON(make([]byte, 0, 256))
	values := []string{"application/problem+json", strconv.Itoa(len(body)), ""}
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = values[0:1:1], values[1:2:2]
	if p.RetryAfterMS > 0 {
		values[2] = strconv.FormatInt((p.RetryAfterMS+999)/1000, 10)
		h["Retry-After"] = values[2:3:3]
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

func (p *problem) appendJSON(b []byte) []byte {
	b = append(b, `{"type":"about:blank"`...)
	b = appendMember(b, "title", http.StatusText(p.Status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.Status), 10)
	b = appendMember(b, "detail", p.Detail)
	b = appendMember(b, "class", p.Class)
	b = appendMember(b, "reason", p.Reason)
	if p.RetryAfterMS > 0 {
		b = append(b, `,"retry_after_ms":`...)
		b = strconv.AppendInt(b, p.RetryAfterMS, 10)
	}
	return append(b, '}')
}

// appendMember leaves out what is empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	if plainJSON(value) {
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	quoted, _ := json.Marshal(value) // a string always marshals
	return append(b, quoted...)
}

func plainJSON(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unavailableRetry is the base after which a refused device may come back.
const unavailableRetry = time.Second

// longestRetry is the most that devices are told to stay away, whatever a
// service or a peer says.
const longestRetry = 300 * time.Second

// boundRetryAfter holds a service's Retry-After, in seconds or as a date, to
// longestRetry, and drops what is neither (RFC 9110 section 10.2.3).
func boundRetryAfter(h http.Header, now time.Time) {
	values := h["Retry-After"]
	if len(values) == 0 {
		return
	}
	seconds, err := strconv.ParseUint(values[0], 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		seconds = math.MaxUint64
	} else if err != nil {
		at, dateErr := http.ParseTime(values[0])
		if dateErr != nil {
			delete(h, "Retry-After")
			return
		}
		seconds = uint64(max(0, at.Sub(now).Seconds()))
	}
	h["Retry-After"] = values[:1:1]
	if most := uint64(longestRetry.Seconds()); seconds > most {
		h["Retry-After"] = []string{strconv.FormatUint(most, 10)}
	}
}

// retryAfter grows from the base to five times that with the share of requests
// being rejected (0 to 1), and spreads returning clients over once to twice
// that, so that they do not come back together. In milliseconds.
func retryAfter(rejected float64) int64 {
	base := time.Duration(float64(unavailableRetry) * (1 + 4*min(max(rejected, 0), 1)))
	return (base + rand.N(base)).Milliseconds()
}

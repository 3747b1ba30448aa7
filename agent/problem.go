package agent

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// problem is the machine-readable reason of a refusal (RFC 9457), the body of
// every answer that the agent itself makes up.
type problem struct {
	Type         string `json:"type"`
	Title        string `json:"title"`
	Status       int    `json:"status"`
	Detail       string `json:"detail,omitempty"`
	Class        string `json:"class,omitempty"`
	Reason       string `json:"reason"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Reasons of refusals, as answers, metrics and access logs name them.
const (
	reasonNoRoute    = "no-route"
	reasonNoRegion   = "no-region"
	reasonNoInstance = "no-instance"
	reasonTimeout    = "timeout"
	reasonUpstream   = "upstream-failed"
	reasonMeshLost   = "mesh-lost"
	reasonNoPolicy   = "no-policy"
	reasonBadRequest = "bad-request"
	reasonBody       = "body-failed"
	reasonCanceled   = "canceled"
)

func writeProblem(w http.ResponseWriter, p problem) {
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	body, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.RetryAfterMS > 0 {
		h.Set("Retry-After", strconv.FormatInt((p.RetryAfterMS+999)/1000, 10))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// retryAfter spreads returning clients over base to twice base, so that they
// do not come back together.
func retryAfter(base time.Duration) int64 {
	return (base + rand.N(base)).Milliseconds()
}

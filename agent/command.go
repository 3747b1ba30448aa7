package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// Commands go out by POST /devices/{id}/messages/{topic} of the egress listener.
const (
	commandPrefix = "/devices/"
	commandMiddle = "/messages/"

	commandWait       = 10 * time.Second // for the device's acknowledgement; "wait" asks for another
	commandWaitMost   = time.Minute
	commandExpiry     = time.Minute // "expiry" asks for another
	commandExpiryMost = 24 * time.Hour
	commandIDMost     = 128
)

// commandReply is what a service is told of its command.
type commandReply struct {
	State  string `json:"state"`
	ID     string `json:"id"`
	Agent  string `json:"agent,omitempty"`
	Region string `json:"region,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// serveCommand sends a command of a local service to a device.
func (a *Agent) serveCommand(w http.ResponseWriter, r *http.Request) {
	a.active.Add(1)
	defer a.active.Add(-1)
	req, err := a.commandOf(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", tooLarge.Limit)
		}
		writeProblem(w, problem{Status: status, Reason: reasonBadRequest, Detail: err.Error()})
		return
	}
	answer, err := a.devices.deliver(r.Context(), req)
	if err != nil {
		a.log.Debug("command not delivered", "device", req.Device, "id", req.ID, "error", err)
		writeProblem(w, undelivered(err))
		return
	}
	writeCommandReply(w, &req, answer)
}

// undelivered is the answer where nobody knows what became of a command; to send
// it again by the same Idempotency-Key is safe.
func undelivered(err error) problem {
	p := problem{Status: http.StatusServiceUnavailable, Reason: reasonMeshLost, RetryAfterMS: retryAfter(0)}
	p.Detail = "the agent that has the device was lost; the command may have been delivered"
	if errors.Is(err, errUnreachable) {
		p.Detail = err.Error()
	}
	return p
}

// commandOf reads a command. Errors say what to do about it.
func (a *Agent) commandOf(w http.ResponseWriter, r *http.Request) (req deliverRequest, err error) {
	device, topic, err := commandPath(r.URL)
	if err != nil {
		return req, err
	}
	q := r.URL.Query()
	wait, err := commandTime(q, "wait", commandWait, commandWaitMost)
	if err != nil {
		return req, err
	}
	expiry, err := commandTime(q, "expiry", commandExpiry, commandExpiryMost)
	if err != nil {
		return req, err
	}
	id, err := commandID(r.Header.Get("Idempotency-Key"))
	if err != nil {
		return req, err
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.cfg.Limits.MQTTPacket)))
	if err != nil {
		return req, err
	}
	return deliverRequest{
		Device: device, Service: admin.ClientFrom(r.Context()), ID: id, Topic: topic,
		ContentType: r.Header.Get("Content-Type"), Payload: payload, ExpiresMS: expiry.Milliseconds(), WaitMS: min(wait, expiry).Milliseconds(),
	}, nil
}

// commandPath reads "/devices/{id}/messages/{topic}".
func commandPath(u *url.URL) (device, topic string, err error) {
	rest := strings.TrimPrefix(u.EscapedPath(), commandPrefix)
	escaped, levels, ok := strings.Cut(rest, commandMiddle)
	if device, err = url.PathUnescape(escaped); err != nil || !ok || device == "" || strings.Contains(escaped, "/") {
		return "", "", errors.New("write the path as /devices/{id}/messages/{topic}")
	}
	if topic, err = url.PathUnescape(levels); err != nil || !policy.ValidTopic(topic) {
		return "", "", fmt.Errorf("%.80q is no topic to send to: it is empty, too long or has wildcards", levels)
	}
	return device, topic, nil
}

func commandTime(q url.Values, name string, otherwise, most time.Duration) (time.Duration, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, fmt.Errorf("%s=%.40q: use a time of 0s to %s, such as 30s", name, text, most)
	}
	return d, nil
}

// commandID is the id that an Idempotency-Key gives a command, or a new one. It
// becomes part of a path and of a line of text.
func commandID(key string) (string, error) {
	if key == "" {
		return rand.Text(), nil
	}
	if unquoted, err := strconv.Unquote(key); err == nil {
		key = unquoted
	}
	if key == "" || len(key) > commandIDMost || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("Idempotency-Key: use 1 to %d printable characters without spaces", commandIDMost)
	}
	return key, nil
}

var commandStatus = [...]int{
	transport.Delivered: http.StatusOK,
	transport.Sent:      http.StatusAccepted,
	transport.Pending:   http.StatusAccepted,
}

func writeCommandReply(w http.ResponseWriter, req *deliverRequest, got deliverAnswer) {
	if int(got.State) < len(commandStatus) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(commandStatus[got.State])
		_ = json.NewEncoder(w).Encode(commandReply{got.State.String(), req.ID, got.Agent, got.Region, got.Reason})
		return
	}
	p := problem{Status: http.StatusNotFound, Reason: got.State.String(), Detail: got.Reason}
	switch got.State {
	case transport.Denied:
		p = problem{Status: http.StatusForbidden, Reason: got.Reason, Detail: "the policy does not let this service send the device this topic"}
		if got.Reason == reasonRate {
			p = problem{Status: http.StatusTooManyRequests, Reason: got.Reason, RetryAfterMS: retryAfter(0)}
		}
	case transport.Refused:
		p.Status = http.StatusUnprocessableEntity
	case transport.Overfull:
		p.Status, p.RetryAfterMS = http.StatusTooManyRequests, retryAfter(0)
		p.Detail = "too many commands wait for this device"
	case transport.Unsubscribed:
		p.Detail = "the device is there, and did not subscribe to this topic"
	case transport.Unknown:
		p.Detail = "no agent has a session of this device"
	}
	writeProblem(w, p)
}

// mayListen says whether a device may have what is sent to it on the topics of a
// filter.
func (a *Agent) mayListen(d policy.Device, filter string) bool {
	p := a.view.Load().Policy
	if p == nil || d.ID == "" {
		return false
	}
	v := p.Access(&policy.Message{Method: policy.MethodSubscribe, Path: policy.TopicPath(filter), Device: d}, nil)
	if v.Audit != "" {
		a.metrics.audited.WithLabelValues(v.Audit).Inc()
	}
	return v.Allowed
}

// lifetime joins the end of a request with that of the agent.
func (a *Agent) lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(a.life, cancel)
	return ctx, func() { stop(); cancel() }
}

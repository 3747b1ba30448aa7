package authhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

const (
	answerMost = 64 << 10 // bytes
	expiryMost = 365 * 24 * time.Hour
)

// verdict is the service's word on a device, and for how long it counts.
type verdict struct {
	device policy.Device // without an id: refused
	until  time.Time     // not to be remembered for longer
}

func (v verdict) accepted() bool { return v.device.ID != "" }

func (v verdict) result() (policy.Device, error) {
	if !v.accepted() {
		return policy.Device{}, fmt.Errorf("%w: the hook does not let it in", transport.ErrIdentity)
	}
	return v.device, nil
}

// post asks the service. An error says that it gave no answer that counts.
func (h *Hook) post(c *Credentials) (verdict, error) {
	ctx, cancel := context.WithTimeout(h.life, h.cfg.Timeout)
	defer cancel()
	req, err := h.request(ctx, c)
	if err != nil {
		return verdict{}, err
	}
	rsp, err := h.client.Do(req)
	if err != nil {
		return verdict{}, withoutURL(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(rsp.Body, answerMost+1))
	switch {
	case err != nil:
		return verdict{}, err
	case len(body) > answerMost:
		return verdict{}, fmt.Errorf("answers with more than %d bytes", answerMost)
	case rsp.StatusCode == http.StatusOK:
		return h.read(body, time.Now())
	case rsp.StatusCode == http.StatusUnauthorized || rsp.StatusCode == http.StatusForbidden:
		return verdict{until: time.Now().Add(h.cfg.RefusedFor)}, nil
	}
	return verdict{}, fmt.Errorf("answers %s", rsp.Status)
}

func (h *Hook) request(ctx context.Context, c *Credentials) (*http.Request, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tidegate")
	if h.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.cfg.Token)
	}
	return req, nil
}

// withoutURL takes the URL off an error: its query may be secret.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// read reads the answer that lets a device in.
func (h *Hook) read(body []byte, now time.Time) (verdict, error) {
	var answer struct {
		ID         string            `json:"id"`
		Properties map[string]string `json:"properties"`
		ExpiresIn  int64             `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return verdict{}, fmt.Errorf("answers 200 without a device: %w", err)
	}
	if answer.ExpiresIn < 0 {
		return verdict{}, fmt.Errorf("answers 200 with expires_in %d", answer.ExpiresIn)
	}
	device, err := transport.NewDevice(answer.ID, answer.Properties)
	if err != nil {
		return verdict{}, fmt.Errorf("answers 200 for nobody: %s", err) // not of the device's kind of error
	}
	v := verdict{device: device, until: now.Add(h.cfg.CacheFor)}
	if answer.ExpiresIn > 0 {
		v.device.Until = now.Add(time.Duration(min(answer.ExpiresIn, int64(expiryMost/time.Second))) * time.Second)
		if v.device.Until.Before(v.until) {
			v.until = v.device.Until
		}
	}
	return v, nil
}

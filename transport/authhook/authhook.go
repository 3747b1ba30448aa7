// Package authhook asks an HTTP service of the operator who a device is that shows
// a user name and a password, or a token. The agent sends
//
//	POST URL
//	{"username":"meter-7","password":"...","client_id":"m7","remote":"192.0.2.1"}
//	{"token":"...","remote":"192.0.2.1"}
//
// with client_id over MQTT alone, and takes one of the answers
//
//	200 {"id":"meter-7","properties":{"tenant":"acme"},"expires_in":3600}
//	401 or 403
//
// properties and expires_in (seconds) may be left out. Whatever else comes, or
// nothing in time, lets nobody in, and the device may try again.
//
// Answers are remembered by a hash of what was shown, with a key of this process;
// remote is no part of it, and must not decide.
package authhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// ErrConfig is the kind of errors about a hook that cannot be asked.
var ErrConfig = errors.New("authentication hook")

// Config says whom to ask, and how often. URL is required; zero means the default.
type Config struct {
	// URL begins with https://, or with http:// where its host is this machine
	// ("localhost", a loopback address). It holds no user name.
	URL string
	// Token is sent as Authorization: Bearer, so that the service knows the agent.
	// Default: none.
	Token string
	CAs   *x509.CertPool // of the service; nil: the system's
	// Timeout bounds the whole answer. Default 2 s.
	Timeout time.Duration
	// CacheFor is how long a device that was let in is not asked about again, or
	// for expires_in, where that is shorter. Default 1 min.
	CacheFor time.Duration
	// RefusedFor is the same of one that was refused. Default 5 s.
	RefusedFor time.Duration
	// MaxCached bounds how many answers of each of the two kinds are remembered.
	// Default 10,000.
	MaxCached int
	// MaxInFlight bounds the questions at a time; beyond, devices are told to come
	// back. Default 64.
	MaxInFlight int

	Metrics prometheus.Registerer // nil: not registered
}

func (c Config) withDefaults() Config {
	orDefault(&c.Timeout, 2*time.Second)
	orDefault(&c.CacheFor, time.Minute)
	orDefault(&c.RefusedFor, 5*time.Second)
	orDefault(&c.MaxCached, 10_000)
	orDefault(&c.MaxInFlight, 64)
	return c
}

func orDefault[T int | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

// Check says what makes a service one that cannot be asked. Errors are of kind
// ErrConfig.
func (c Config) Check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: url is none that begins with https://", ErrConfig)
	case u.User != nil:
		return fmt.Errorf("%w: url has a user name in it: use token", ErrConfig)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%w: url would send passwords to %s in the clear: use https://, but on this machine", ErrConfig, u.Host)
	case c.Timeout < 0 || c.CacheFor < 0 || c.RefusedFor < 0 || c.MaxCached < 0 || c.MaxInFlight < 0:
		return fmt.Errorf("%w: a limit is negative", ErrConfig)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Credentials are what a device shows: a user name and a password, or a token.
type Credentials struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
	ClientID string `json:"client_id,omitempty"` // of MQTT
	Remote   string `json:"remote,omitempty"`    // address without port
}

// fit says that the credentials can be told in JSON as they are. An empty password
// shows nothing, and there are services that take it for a good one.
func (c *Credentials) fit() bool {
	for _, text := range []string{c.Username, c.Password, c.Token, c.ClientID} {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return c.Token != "" || c.Username != "" && c.Password != ""
}

// Hook asks one service. Its methods are safe for concurrent use.
type Hook struct {
	cfg     Config
	client  *http.Client
	metrics *metrics
	cache   *cache
	flights singleflight.Group
	slots   chan struct{} // takes as many as may be asked about at a time

	life context.Context // ends with Close
	end  context.CancelFunc
}

// New returns a hook, without asking anything. Errors are of kind ErrConfig, or
// from the metrics registry.
func New(cfg Config) (*Hook, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("authentication hook: %w", err)
	}
	h := &Hook{cfg: cfg, client: newClient(cfg), metrics: m, cache: newCache(cfg.MaxCached), slots: make(chan struct{}, cfg.MaxInFlight)}
	h.life, h.end = context.WithCancel(context.Background())
	return h, nil
}

func newClient(cfg Config) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // passwords go where the operator said
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.CAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    cfg.MaxInFlight,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: answerMost,
		},
	}
}

// Close ends what is being asked; later questions are refused as busy.
func (h *Hook) Close() {
	h.end()
	h.client.CloseIdleConnections()
	h.metrics.unregister(h.cfg.Metrics)
}

// Identify tells the device by what it shows, from memory or by asking; those who
// show the same wait for one answer. Errors are of kind transport.ErrIdentity
// where the service refuses, and of kind transport.ErrBusy where it could not be
// told; they hold nothing that was shown.
func (h *Hook) Identify(c Credentials) (policy.Device, error) {
	if !c.fit() {
		return policy.Device{}, fmt.Errorf("%w: neither a user name with a password nor a token, in UTF-8", transport.ErrIdentity)
	}
	sum := h.cache.sum(&c)
	if v, ok := h.cache.get(sum, time.Now()); ok {
		h.metrics.remembered(v)
		return v.result()
	}
	v, err, _ := h.flights.Do(string(sum[:]), func() (any, error) { return h.ask(sum, &c) })
	if err != nil {
		return policy.Device{}, err
	}
	return v.(verdict).result()
}

// ask asks, unless somebody has just done so.
func (h *Hook) ask(sum key, c *Credentials) (v verdict, err error) {
	if v, ok := h.cache.get(sum, time.Now()); ok {
		return v, nil
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		h.metrics.busy.Inc()
		return v, fmt.Errorf("%w: the hook is asked about %d devices already", transport.ErrBusy, h.cfg.MaxInFlight)
	}
	began := time.Now()
	v, err = h.post(c)
	h.metrics.asked(v, err, time.Since(began))
	if err != nil {
		return v, fmt.Errorf("%w: the hook: %w", transport.ErrBusy, err)
	}
	h.cache.put(sum, v)
	return v, nil
}

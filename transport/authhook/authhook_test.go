package authhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is one that counts how often it is asked.
type service struct {
	*httptest.Server
	asked atomic.Int64
}

// serving starts a service that lets in who has the password "right" or the token
// "good".
func serving(t testing.TB, answer http.HandlerFunc) *service {
	t.Helper()
	if answer == nil {
		answer = byPassword
	}
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func byPassword(w http.ResponseWriter, r *http.Request) {
	var c Credentials
	if json.NewDecoder(r.Body).Decode(&c) != nil || c.Password != "right" && c.Token != "good" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, `{"id":%q,"properties":{"tenant":"acme"}}`, c.Username+c.Token)
}

func hooked(t testing.TB, cfg Config) *Hook {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func by(password string) Credentials {
	return Credentials{Username: "meter-7", Password: password, Remote: "192.0.2.1"}
}

func TestTheServiceTellsTheDevice(t *testing.T) {
	s := serving(t, nil)
	h := hooked(t, Config{URL: s.URL})
	for range 3 {
		d, err := h.Identify(by("right"))
		if err != nil || d.ID != "meter-7" || d.Properties["tenant"] != "acme" {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := h.Identify(Credentials{Token: "good"}); err != nil || d.ID != "good" {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := h.Identify(by("wrong")); !errors.Is(err, transport.ErrIdentity) || d.ID != "" {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if n := s.asked.Load(); n != 3 {
		t.Errorf("asked %d times, want once for each", n)
	}
}

func TestWhatTheServiceIsSent(t *testing.T) {
	type sent struct{ method, contentType, authorization, body string }
	got := make(chan sent, 1)
	s := serving(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- sent{r.Method, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
		w.WriteHeader(http.StatusUnauthorized)
	})
	h := hooked(t, Config{URL: s.URL, Token: "the agent's"})
	for _, c := range []struct {
		shown Credentials
		body  string
	}{
		{Credentials{Username: "u", Password: "p", ClientID: "c", Remote: "::1"}, `{"username":"u","password":"p","client_id":"c","remote":"::1"}`},
		{Credentials{Token: "t", Remote: "192.0.2.1"}, `{"token":"t","remote":"192.0.2.1"}`},
	} {
		_, _ = h.Identify(c.shown)
		if want := (sent{"POST", "application/json", "Bearer the agent's", c.body}); <-got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// Nobody gets in by an answer that is none, and nobody is told that the password is
// wrong.
func TestWhoCannotBeToldMayTryAgain(t *testing.T) {
	elsewhere := serving(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"meter-7"}`) })
	const hunter = "hunter2"
	for name, answer := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"too many":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"not found":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"created":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"text":                 says("yes"),
		"a list":               says(`["meter-7"]`),
		"two answers":          says(`{"id":"a"}{"id":"b"}`),
		"no id":                says(`{"properties":{}}`),
		"a bad id":             says(`{"id":"a/b"}`),
		"a bad property":       says(`{"id":"a","properties":{"Tenant":"x"}}`),
		"a number as property": says(`{"id":"a","properties":{"tenant":1}}`),
		"already over":         says(`{"id":"a","expires_in":-1}`),
		"huge":                 says(`{"id":"a","more":"` + strings.Repeat("x", answerMost) + `"}`),
		"huge, but for spaces": says(`{"id":"a"}` + strings.Repeat(" ", answerMost)),
		"without an end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"too late": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"id":"a"}`)
		},
		"a large header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*answerMost))
			fmt.Fprint(w, `{"id":"a"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // so that its context tells of the client's end
				answer(w, r)
			})
			reg := prometheus.NewRegistry()
			h := hooked(t, Config{URL: s.URL + "?key=" + hunter, Token: hunter, Timeout: 300 * time.Millisecond, Metrics: reg})
			for range 2 {
				d, err := h.Identify(Credentials{Username: "meter-7", Password: hunter})
				if !errors.Is(err, transport.ErrBusy) || errors.Is(err, transport.ErrIdentity) || d.ID != "" {
					t.Errorf("%+v, %v", d, err)
				}
				if strings.Contains(err.Error(), hunter) {
					t.Errorf("shows a secret: %v", err)
				}
			}
			if n := s.asked.Load(); n != 2 {
				t.Errorf("asked %d times: a failure was remembered", n)
			}
			if got := testutil.ToFloat64(h.metrics.failed); got != 2 {
				t.Errorf("%v counted", got)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Error("a redirect was followed")
	}
	h := hooked(t, Config{URL: elsewhere.URL})
	elsewhere.Close()
	if _, err := h.Identify(by("right")); !errors.Is(err, transport.ErrBusy) {
		t.Errorf("nobody there: %v", err)
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestAnswersAreRememberedForTheirTime(t *testing.T) {
	const minute = time.Minute
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		cfg    Config
		lasts  time.Duration
	}{
		"let in":              {says(`{"id":"a"}`), Config{}, minute},
		"let in, as told":     {says(`{"id":"a"}`), Config{CacheFor: 5 * minute}, 5 * minute},
		"expires sooner":      {says(`{"id":"a","expires_in":10}`), Config{}, 10 * time.Second},
		"expires later":       {says(`{"id":"a","expires_in":3600}`), Config{}, minute},
		"never, in effect":    {says(`{"id":"a","expires_in":9223372036854775807}`), Config{}, minute},
		"refused":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, Config{}, 5 * time.Second},
		"refused for longer":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, Config{RefusedFor: minute}, minute},
		"refused for a while": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, Config{CacheFor: time.Hour}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, c.answer)
			s.Config.SetKeepAlivesEnabled(false) // an idle connection would hold the clock
			c.cfg.URL = s.URL
			synctest.Test(t, func(t *testing.T) {
				h := hooked(t, c.cfg)
				for _, step := range []struct {
					after time.Duration
					asked int64
				}{{0, 1}, {c.lasts - time.Second, 1}, {2 * time.Second, 2}} {
					time.Sleep(step.after)
					_, _ = h.Identify(by("right"))
					if n := s.asked.Load(); n != step.asked {
						t.Errorf("after %v more asked %d times, want %d", step.after, n, step.asked)
					}
				}
			})
		})
	}
}

func TestADeviceIsKnownForAsLongAsTheServiceSays(t *testing.T) {
	for text, seconds := range map[string]int{`{"id":"a"}`: 0, `{"id":"a","expires_in":0}`: 0, `{"id":"a","expires_in":3600}`: 3600} {
		h := hooked(t, Config{URL: serving(t, says(text)).URL})
		now := time.Now()
		for range 2 { // the second time from memory
			d, err := h.Identify(by("right"))
			if err != nil || d.Until.IsZero() != (seconds == 0) {
				t.Errorf("%s: until %v, %v", text, d.Until, err)
			}
			if left := d.Until.Sub(now).Seconds(); seconds > 0 && (left < float64(seconds) || left > float64(seconds)+10) {
				t.Errorf("%s: %v s are left", text, left)
			}
		}
	}
}

func TestWhatWasShownDifferentlyIsAskedAbout(t *testing.T) {
	s := serving(t, nil)
	h := hooked(t, Config{URL: s.URL})
	none := strings.Repeat("\x00", 8)
	all := []Credentials{
		{Username: "ab", Password: "c"}, {Username: "a", Password: "bc"}, {Username: "a", Password: "b", ClientID: "c"},
		{Username: "a", Password: "b", ClientID: "d"}, {Token: "abc"}, {Username: "abc", Token: "x"},
		{Username: "a" + none + "b", Password: "c"}, {Username: "a", Password: "b" + none + "c"},
		{Username: "ab", Password: "right"},
	}
	for _, c := range all {
		_, _ = h.Identify(c)
	}
	if n := s.asked.Load(); n != int64(len(all)) {
		t.Errorf("asked %d times about %d", n, len(all))
	}
	c := all[len(all)-1]
	c.Remote = "192.0.2.9"
	if d, err := h.Identify(c); err != nil || d.ID != "ab" || s.asked.Load() != int64(len(all)) {
		t.Errorf("from another address: %+v, %v", d, err)
	}
}

func TestTheServiceIsNotAskedAboutNothing(t *testing.T) {
	s := serving(t, says(`{"id":"a"}`))
	h := hooked(t, Config{URL: s.URL})
	for _, c := range []Credentials{{}, {Username: "meter-7"}, {Password: "x"}, {Username: "m", Password: "\xff"}, {Token: "\xc3"}, {Token: "t", ClientID: "\xff"}} {
		if d, err := h.Identify(c); !errors.Is(err, transport.ErrIdentity) || d.ID != "" {
			t.Errorf("%+v: %+v, %v", c, d, err)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// Many devices with one password cost one question; others wait for nobody, and
// beyond the bound are told to come back.
func TestQuestionsAreBounded(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	s := serving(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		byPassword(w, r)
	})
	h := hooked(t, Config{URL: s.URL, MaxInFlight: 2, Timeout: time.Minute})
	results, one := make(chan error, 100), sync.WaitGroup{}
	for range 50 {
		one.Go(func() {
			_, err := h.Identify(by("right"))
			results <- err
		})
	}
	<-entered
	one.Go(func() {
		_, err := h.Identify(Credentials{Token: "good"})
		results <- err
	})
	<-entered
	for i := range 10 {
		if _, err := h.Identify(by(fmt.Sprint("guess ", i))); !errors.Is(err, transport.ErrBusy) {
			t.Errorf("%v", err)
		}
	}
	if got := testutil.ToFloat64(h.metrics.busy); got != 10 {
		t.Errorf("%v counted as busy", got)
	}
	close(release)
	one.Wait()
	for range 51 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if _, err := h.Identify(by("guess 1")); !errors.Is(err, transport.ErrIdentity) {
		t.Errorf("afterwards: %v", err)
	}
}

// Who guesses fills what remembers guesses, and nothing else.
func TestGuessesDoNotPushOutWhoIsLetIn(t *testing.T) {
	s := serving(t, nil)
	h := hooked(t, Config{URL: s.URL, MaxCached: 5})
	if _, err := h.Identify(by("right")); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		_, _ = h.Identify(by(fmt.Sprint(i)))
	}
	before := s.asked.Load()
	if _, err := h.Identify(by("right")); err != nil || s.asked.Load() != before {
		t.Errorf("%v, asked %d times more", err, s.asked.Load()-before)
	}
	if n := h.cache.refused.Len() + h.cache.accepted.Len(); n != 6 {
		t.Errorf("%d are remembered", n)
	}
}

// What the service says last counts: a device that was let in and then refused is
// not let in from memory.
func TestARefusalReplacesAnEarlierWelcome(t *testing.T) {
	var out atomic.Bool
	s := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if out.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"id":"a","expires_in":1}`)
	})
	h := hooked(t, Config{URL: s.URL})
	sum := h.cache.sum(&Credentials{Token: "t"})
	if _, err := h.Identify(Credentials{Token: "t"}); err != nil {
		t.Fatal(err)
	}
	out.Store(true)
	v, _ := h.cache.get(sum, time.Now())
	v.until = time.Now() // as if the second were over
	h.cache.put(sum, v)
	if _, err := h.Identify(Credentials{Token: "t"}); !errors.Is(err, transport.ErrIdentity) {
		t.Errorf("%v", err)
	}
	if h.cache.accepted.Len() != 0 || h.cache.refused.Len() != 1 {
		t.Errorf("%d and %d remembered", h.cache.accepted.Len(), h.cache.refused.Len())
	}
}

func TestCloseEndsWhatIsAsked(t *testing.T) {
	entered := make(chan struct{})
	s := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(entered)
		<-r.Context().Done()
	})
	h := hooked(t, Config{URL: s.URL, Timeout: time.Minute})
	ended := make(chan error, 1)
	go func() {
		_, err := h.Identify(by("right"))
		ended <- err
	}()
	<-entered
	h.Close()
	if err := <-ended; !errors.Is(err, transport.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestServicesThatMustNotBeAskedAreRefused(t *testing.T) {
	for url, want := range map[string]string{
		"":                              "begins with https://",
		"ftp://x":                       "begins with https://",
		"https://":                      "begins with https://",
		"//x":                           "begins with https://",
		"https://a b/":                  "begins with https://",
		"http://auth.example/":          "in the clear",
		"http://192.0.2.1/":             "in the clear",
		"http://localhost.example/":     "in the clear",
		"http://127.0.0.1.example/":     "in the clear",
		"https://u:hunter2@auth.test/":  "use token",
		"http://u:hunter2@127.0.0.1:1/": "use token",
	} {
		if _, err := New(Config{URL: url}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, url := range []string{"https://auth.example/x?y=z", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/"} {
		h, err := New(Config{URL: url})
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		h.Close()
	}
	if _, err := New(Config{URL: "https://x", Timeout: -1}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// A service whose certificate is not of the given authorities is told nothing.
func TestTheServiceMustShowItsCertificate(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		byPassword(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	stranger := hooked(t, Config{URL: s.URL})
	if _, err := stranger.Identify(by("right")); !errors.Is(err, transport.ErrBusy) || asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if d, err := hooked(t, Config{URL: s.URL, CAs: pool}).Identify(by("right")); err != nil || d.ID != "meter-7" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestMetricsTellAskedFromRemembered(t *testing.T) {
	s := serving(t, nil)
	reg := prometheus.NewRegistry()
	h := hooked(t, Config{URL: s.URL, Metrics: reg})
	for range 3 {
		_, _ = h.Identify(by("right"))
	}
	for range 2 {
		_, _ = h.Identify(by("wrong"))
	}
	want := `
# HELP tidegate_auth_hook_cached_total Devices that an earlier answer of the authentication hook was remembered for: accepted, refused.
# TYPE tidegate_auth_hook_cached_total counter
tidegate_auth_hook_cached_total{result="accepted"} 2
tidegate_auth_hook_cached_total{result="refused"} 1
# HELP tidegate_auth_hook_requests_total Questions to the authentication hook by result: accepted, refused, failed (no answer that counts), busy (too many in flight, not asked).
# TYPE tidegate_auth_hook_requests_total counter
tidegate_auth_hook_requests_total{result="accepted"} 1
tidegate_auth_hook_requests_total{result="busy"} 0
tidegate_auth_hook_requests_total{result="failed"} 0
tidegate_auth_hook_requests_total{result="refused"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "tidegate_auth_hook_cached_total", "tidegate_auth_hook_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "tidegate_auth_hook_seconds"); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// FuzzAnswer holds that no answer makes it panic, and that who is let in is fit to
// be a device.
func FuzzAnswer(f *testing.F) {
	h := hooked(f, Config{URL: "https://x"})
	f.Add([]byte(`{"id":"meter-7","properties":{"tenant":"acme"},"expires_in":3600}`))
	f.Add([]byte(`{"id":"a","expires_in":9223372036854775807}`))
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := h.read(body, now)
		if err != nil {
			return
		}
		if _, err := transport.NewDevice(v.device.ID, v.device.Properties); err != nil || !v.until.After(now) || v.until.Sub(now) > h.cfg.CacheFor {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

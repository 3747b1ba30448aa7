package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tidegate/tidegate/policy"
)

const classesPolicy = `
service "svc" {
  timeout = "5s"
  quota {
    by    = "tenant"
    share = "50%"
  }
}
route "critical" {
  match {
    path = "/critical"
  }
  class = "critical"
  forward {
    service = "svc"
  }
}
route "bulk" {
  match {
    path = "/bulk"
  }
  class = "bulk"
  forward {
    service = "svc"
  }
}
`

// gated is an agent in front of a service that answers when the gate opens.
func gated(t *testing.T, slots int) (a *Agent, open func(), inside *atomic.Int64) {
	t.Helper()
	gate := make(chan struct{})
	inside = new(atomic.Int64)
	a = handling(t, classesPolicy, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}))
	a.admissions.local("svc").SetHard(slots)
	open = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	return a, open, inside
}

func post(path string, body io.Reader) *http.Request { return httptest.NewRequest("POST", path, body) }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

// occupy takes n slots with requests that wait for the gate.
func occupy(t *testing.T, a *Agent, n int) *sync.WaitGroup {
	t.Helper()
	all := new(sync.WaitGroup)
	for range n {
		all.Go(func() { a.handle(httptest.NewRecorder(), post("/critical", nil), policy.Device{}) })
	}
	until(t, "the slots are taken", func() bool { return a.admissions.local("svc").Stats().InFlight == n })
	return all
}

// unread fails the test when somebody reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a refused request is read")
	return 0, io.EOF
}

func TestWhatIsRefusedIsToldBeforeItsBodyIsRead(t *testing.T) {
	a, open, _ := gated(t, 1)
	busy := occupy(t, a, 1)
	defer busy.Wait()
	defer open()
	r := post("/bulk", unread{t})
	r.ContentLength = 100
	rec := httptest.NewRecorder()
	a.handle(rec, r, policy.Device{ID: "d"})
	var p struct {
		Class, Reason string
		RetryAfterMS  int64 `json:"retry_after_ms"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if rec.Code != 503 || p.Class != "bulk" || p.Reason != "expired" || p.RetryAfterMS < 1000 || p.RetryAfterMS > 10_000 {
		t.Errorf("status %d: %+v", rec.Code, p)
	}
	if got := rec.Header().Get("Retry-After"); got != strconv.FormatInt((p.RetryAfterMS+999)/1000, 10) {
		t.Errorf("Retry-After %q for %d ms", got, p.RetryAfterMS)
	}
	if n := testutil.ToFloat64(a.metrics.shed.WithLabelValues("svc", "bulk", "expired", "")); n != 1 {
		t.Errorf("counted %g times", n)
	}
}

func TestAPlaceInTheQueueEndsWithItsClient(t *testing.T) {
	a, open, inside := gated(t, 1)
	busy := occupy(t, a, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		a.handle(httptest.NewRecorder(), post("/critical", nil).WithContext(ctx), policy.Device{})
	}()
	until(t, "one waits", func() bool { return a.admissions.local("svc").Stats().Queued == 1 })
	cancel()
	if got := <-ended; got != http.ErrAbortHandler {
		t.Errorf("ended with %v", got)
	}
	if s := a.admissions.local("svc").Stats(); s.Queued != 0 || s.InFlight != 1 {
		t.Errorf("%d queued, %d in flight", s.Queued, s.InFlight)
	}
	open()
	busy.Wait()
	if n := inside.Load(); n != 1 {
		t.Errorf("the service saw %d requests", n)
	}
}

func TestWhatExpiresInTheQueueIsNeverSent(t *testing.T) {
	a, open, inside := gated(t, 1)
	busy := occupy(t, a, 1)
	r := post("/critical", nil)
	r.Header.Set(headerTimeout, "0.01")
	rec := httptest.NewRecorder()
	began := time.Now()
	a.handle(rec, r, policy.Device{})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it waited for %s", took)
	}
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"reason":"expired"`) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	open()
	busy.Wait()
	if n := inside.Load(); n != 1 {
		t.Errorf("the service saw %d requests", n)
	}
}

func TestADeadlineInThePastIsRefusedAtOnce(t *testing.T) {
	a, _, inside := gated(t, 10)
	r := post("/critical", unread{t})
	r.Header.Set(headerTimeout, "-1")
	rec := httptest.NewRecorder()
	a.handle(rec, r, policy.Device{})
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"reason":"deadline"`) || inside.Load() != 0 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if n := testutil.ToFloat64(a.metrics.timeouts.WithLabelValues("past")); n != 1 {
		t.Errorf("counted %g times", n)
	}
}

func TestADeviceShortensItsDeadlineAndCannotLengthenIt(t *testing.T) {
	a, _, _ := gated(t, 10)
	for header, want := range map[string]time.Duration{"0.05": 50 * time.Millisecond, "": 5 * time.Second, "60": 5 * time.Second, "x": 5 * time.Second} {
		x := &exchange{agent: a, r: post("/critical", nil), started: time.Now()}
		x.decision.Timeout = 5 * time.Second
		if header != "" {
			x.r.Header.Set(headerTimeout, header)
		}
		if !x.setDeadline() || x.timeout != want || !x.deadline.Equal(x.started.Add(want)) {
			t.Errorf("%q: %s", header, x.timeout)
		}
		x.extend(time.Second)
		if longest := x.started.Add(want + time.Second); header == "0.05" && !x.deadline.Equal(x.until) || x.deadline.After(longest) {
			t.Errorf("%q: a body's second moves the deadline to %s", header, x.deadline.Sub(x.started))
		}
	}
	r := post("/critical", nil)
	r.Header.Set(headerTimeout, "0.05")
	rec := httptest.NewRecorder()
	began := time.Now()
	a.handle(rec, r, policy.Device{})
	if took := time.Since(began); rec.Code != 504 || took > 2*time.Second {
		t.Errorf("status %d after %s", rec.Code, took)
	}
}

// broken is a ResponseWriter of a device that is gone.
type broken struct{ sink }

func (*broken) Write([]byte) (int, error) { return 0, errors.New("gone") }
func (*broken) FlushError() error         { return errors.New("gone") }

func TestEverySlotIsGivenBackHoweverTheExchangeEnds(t *testing.T) {
	var instance atomic.Pointer[http.HandlerFunc]
	a := handling(t, classesPolicy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*instance.Load())(w, r) }))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	answers := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		instance http.HandlerFunc
		w        http.ResponseWriter
		r        *http.Request
	}{
		"answered":           {answers, nil, post("/bulk", strings.NewReader("x"))},
		"answered in a body": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, nil, post("/bulk", nil)},
		"refused":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, nil, post("/bulk", nil)},
		"cut off":            {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, post("/bulk", nil)},
		"cut off and tried again": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil,
			httptest.NewRequest("PUT", "/bulk", strings.NewReader("x"))},
		"cut off in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, nil, post("/bulk", nil)},
		"timed out":           {hangs, nil, withTimeout(post("/bulk", nil), "0.02")},
		"client gone":         {hangs, nil, post("/bulk", nil).WithContext(gone)},
		"client gone in body": {answers, &broken{sink{http.Header{}}}, post("/bulk", nil)},
		"body broken":         {answers, nil, lengthened(post("/bulk", io.NopCloser(&stalls{left: 5})), 10)},
		"stream broken":       {answers, nil, lengthened(post("/bulk", io.NopCloser(&stalls{left: 5})), 1<<20)},
		"handler panics":      {answers, &panics{sink{http.Header{}}}, post("/bulk", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			instance.Store(&c.instance)
			if c.w == nil {
				c.w = httptest.NewRecorder()
			}
			func() {
				defer func() { _ = recover() }()
				a.handle(c.w, c.r, policy.Device{Properties: map[string]string{"tenant": "acme"}})
			}()
			if s := a.admissions.local("svc").Stats(); s.InFlight != 0 || s.Queued != 0 {
				t.Errorf("%d in flight, %d queued", s.InFlight, s.Queued)
			}
		})
	}
}

type panics struct{ sink }

func (*panics) WriteHeader(int) { panic("no") }

// The service holds what nobody waits for any longer, and answers nothing: the
// limit has to fall all the same, by what devices and deadlines gave up.
func TestWhatIsGivenUpLowersTheLimit(t *testing.T) {
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, send := range map[string]func(*Agent){
		"timed out": func(a *Agent) {
			a.handle(httptest.NewRecorder(), withTimeout(post("/bulk", nil), "0.05"), policy.Device{})
		},
		"client gone": func(a *Agent) {
			defer func() { _ = recover() }()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			a.handle(httptest.NewRecorder(), post("/bulk", nil).WithContext(ctx), policy.Device{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := handling(t, classesPolicy, http.HandlerFunc(hangs))
			local, began := a.admissions.gate("svc").local, time.Now()
			var all sync.WaitGroup
			for range startLocal {
				all.Go(func() { send(a) })
			}
			all.Wait()
			for i := range 20 {
				local.Tick(began.Add(time.Duration(i+1) * policy.DefaultAdmissionConfig().Window))
			}
			if limit := local.Stats().Limit; limit != startLocal/2 {
				t.Errorf("limit %d", limit)
			}
		})
	}
}

func withTimeout(r *http.Request, value string) *http.Request {
	r.Header.Set(headerTimeout, value)
	return r
}

func lengthened(r *http.Request, n int64) *http.Request {
	r.ContentLength = n
	return r
}

// slowBody gives its one byte when told.
type slowBody struct {
	asked chan<- struct{} // told first
	tell  <-chan struct{}
	given bool
}

func (s *slowBody) Read(p []byte) (int, error) {
	if s.given {
		return 0, io.EOF
	}
	s.asked <- struct{}{}
	<-s.tell
	s.given, p[0] = true, 'x'
	return 1, nil
}

func TestSlowBodiesDoNotHoldSlots(t *testing.T) {
	a := handling(t, classesPolicy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	adm := a.admissions.local("svc")
	asked, tell := make(chan struct{}), make(chan struct{})
	rec := httptest.NewRecorder()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.handle(rec, lengthened(post("/bulk", &slowBody{asked: asked, tell: tell}), 1), policy.Device{})
	}()
	<-asked
	until(t, "it has lost its slot", func() bool { return adm.Stats().InFlight == 0 })
	close(tell)
	<-ended
	if s := adm.Stats(); rec.Code != 200 || rec.Body.String() != "x" || s.InFlight != 0 {
		t.Errorf("status %d %q, %d in flight", rec.Code, rec.Body, s.InFlight)
	}
}

// slots serves n requests at a time, each for the given time.
func slots(n int, each time.Duration) http.HandlerFunc {
	free := make(chan struct{}, n)
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		free <- struct{}{}
		timer := time.NewTimer(each)
		defer timer.Stop()
		<-timer.C
		<-free
	}
}

// storm sends by an open loop and counts who was answered.
type storm struct {
	sent, served map[string]*atomic.Int64
	all          sync.WaitGroup
}

func newStorm(names ...string) *storm {
	s := &storm{map[string]*atomic.Int64{}, map[string]*atomic.Int64{}, sync.WaitGroup{}}
	for _, n := range names {
		s.sent[n], s.served[n] = new(atomic.Int64), new(atomic.Int64)
	}
	return s
}

func (s *storm) send(a *Agent, name, path string, device policy.Device, counted bool) {
	s.all.Go(func() {
		rec := httptest.NewRecorder()
		a.handle(rec, post(path, strings.NewReader("{}")), device)
		if !counted {
			return
		}
		s.sent[name].Add(1)
		if rec.Code == http.StatusOK {
			s.served[name].Add(1)
		}
	})
}

func (s *storm) share(name string) float64 {
	return float64(s.served[name].Load()) / float64(max(1, s.sent[name].Load()))
}

func ticking(t *testing.T, a *Agent) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { a.admissions.run(ctx, a.view.Load) })
	t.Cleanup(func() { cancel(); done.Wait() })
}

func TestCriticalGetsThroughAtThreeTimesTheLoadWhileBulkIsShed(t *testing.T) {
	a := handling(t, classesPolicy, slots(8, 20*time.Millisecond)) // 400 a second
	a.admissions.local("svc").SetHard(8)
	ticking(t, a)
	s := newStorm("critical", "bulk")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := range 500 { // 1,200 a second, a fifth of them critical
		<-tick.C
		for i := range 6 {
			name := "bulk"
			if (6*n+i)%5 == 0 {
				name = "critical"
			}
			s.send(a, name, "/"+name, policy.Device{ID: fmt.Sprint("d", n*6+i)}, n >= 200)
		}
	}
	s.all.Wait()
	if c, b := s.share("critical"), s.share("bulk"); c < 0.98 || b > 0.4 || b < 0.02 {
		t.Errorf("critical %.3f of %d, bulk %.3f of %d", c, s.sent["critical"].Load(), b, s.sent["bulk"].Load())
	}
}

func TestAFloodOfOneTenantDoesNotStarveAnother(t *testing.T) {
	a := handling(t, classesPolicy, slots(8, 20*time.Millisecond))
	a.admissions.local("svc").SetHard(8)
	ticking(t, a)
	s := newStorm("flood", "calm")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := range 500 {
		<-tick.C
		for i := range 6 {
			s.send(a, "flood", "/critical", tenant("flood", n*6+i), n >= 200)
		}
		if n%4 == 0 { // 50 a second
			s.send(a, "calm", "/critical", tenant("calm", n), n >= 200)
		}
	}
	s.all.Wait()
	if c, f := s.share("calm"), s.share("flood"); c < 0.96 || f > 0.5 {
		t.Errorf("calm %.3f of %d, flood %.3f of %d", c, s.sent["calm"].Load(), f, s.sent["flood"].Load())
	}
}

func tenant(name string, n int) policy.Device {
	return policy.Device{ID: fmt.Sprint(name, n), Properties: map[string]string{"tenant": name}}
}

func TestAnUpstreamsRetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]string{
		"7": "7", "300": "300", "301": "300", "31536000": "300", "99999999999999999999999": "300", "0": "0",
		now.Add(time.Minute).Format(http.TimeFormat):          now.Add(time.Minute).Format(http.TimeFormat),
		now.Add(365 * 24 * time.Hour).Format(http.TimeFormat): "300",
		"soon": "", "-5": "", "": "",
	} {
		h := http.Header{"Retry-After": {value}}
		boundRetryAfter(h, now)
		if got := h.Get("Retry-After"); got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	}
}

func TestWhatLeftThePolicyLeavesNoSeries(t *testing.T) {
	a, _, _ := gated(t, 1)
	a.admissions.remote("svc", "eu-2")
	a.metrics.shed.WithLabelValues("svc", "bulk", "overload", "").Inc()
	a.metrics.shed.WithLabelValues("other", "bulk", "overload", "").Inc()
	count := func() int { return testutil.CollectAndCount(a.admissions) }
	both := count()
	a.admissions.prune(a.view.Load()) // eu-2 is not in the mesh
	if now := count(); now >= both || now == 0 {
		t.Errorf("%d series of two regions, %d of one", both, now)
	}
	a.admissions.prune(&policy.View{})
	if count() != 0 || testutil.CollectAndCount(a.metrics.shed) != 1 {
		t.Errorf("%d series are left, %d of what was shed", count(), testutil.CollectAndCount(a.metrics.shed))
	}
}

// BenchmarkHandleRefused is the agent's own share of a request that is refused.
func BenchmarkHandleRefused(b *testing.B) {
	a := handling(b, benchPolicy, http.NotFoundHandler())
	a.admissions.local("svc").SetFloor(policy.MaxRank + 1)
	payload := bytes.Repeat([]byte("x"), 200)
	r := post("/v1/devices/d-1/telemetry", bytes.NewReader(payload))
	r.ProtoMajor = 3
	device := policy.Device{ID: "d-1"}
	b.ReportAllocs()
	for b.Loop() {
		a.handle(&sink{header: make(http.Header, 4)}, r, device)
	}
}

package agent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport/mqtt"
)

const batchPolicy = `
service "svc" { timeout = "5s" }
route "in" {
  match { path = "/in/{device}/{rest...}" }
  forward { service = "svc" }
  rewrite {
    path        = "/events"
    set_headers = { "X-All" = "yes" }
  }
  batch {
    messages = 5
    bytes    = "8KiB"
    wait     = "%s"
  }
}
access "all" {
  devices = ["d*"]
  allow { path = "/in/${device.id}/{rest...}" }
}`

// arrived is an event as a service sees it.
type arrived struct {
	SpecVersion, ID, Source, Type, Subject, Time, DataContentType, Tidegatedevice, Xkind, Database64, Tidegateclass string

	Data   json.RawMessage
	Base64 string `json:"data_base64"`
}

func (e *arrived) text() string {
	if raw, err := base64.StdEncoding.DecodeString(e.Base64); e.Base64 != "" && err == nil {
		return string(raw)
	}
	return string(e.Data)
}

// eventsOf reads a batch, or a message that came alone.
func eventsOf(t interface{ Errorf(string, ...any) }, r *http.Request) []arrived {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("%v", err)
	}
	if id := r.Header.Get("Ce-Id"); id != "" {
		return []arrived{{ID: id, Data: body, Source: r.Header.Get("Ce-Source")}}
	}
	var all []arrived
	if err := json.Unmarshal(body, &all); err != nil || r.Header.Get("Content-Type") != "application/cloudevents-batch+json" {
		t.Errorf("%v: %s of %s", err, body, r.Header)
	}
	return all
}

func fromDevice(i int, topic, payload string) *mqtt.Publication {
	pub := publication(topic, payload)
	pub.Device.ID, pub.ID = fmt.Sprintf("d%d", i), fmt.Sprintf("m-%d", i)
	return pub
}

// published hands all over at once and returns what becomes of each.
func published(t *testing.T, a *Agent, pubs ...*mqtt.Publication) []mqtt.Verdict {
	verdicts := make([]mqtt.Verdict, len(pubs))
	var all sync.WaitGroup
	for i, pub := range pubs {
		all.Go(func() { verdicts[i] = (publisher{a}).Publish(t.Context(), pub) })
	}
	all.Wait()
	return verdicts
}

func TestMessagesOfManyDevicesShareARequest(t *testing.T) {
	got := make(chan *http.Request, 2)
	var all []arrived
	a := handling(t, fmt.Sprintf(batchPolicy, "1s"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all = eventsOf(t, r)
		got <- r
	}))
	pubs := []*mqtt.Publication{
		fromDevice(0, "in/d0/a", `{"temp": 1}`), fromDevice(1, "in/d1/ü b", `{"temp": 2}`), fromDevice(2, "in/d2/a", "\x00\xff"),
		fromDevice(3, "in/d3/a", ""), fromDevice(4, "in/d4/a", "{\"not utf8\":\"\xff\"}"),
	}
	for _, pub := range pubs {
		pub.ContentType = "application/json"
		pub.Properties = []mqtt.Property{{Key: "X-Kind", Value: "a\"b"}, {Key: "tidegate_class", Value: "forged"}, {Key: "tidegateclass", Value: "forged"}, {Key: "data_base64", Value: "Zm9yZ2Vk"}, {Key: "id", Value: "forged"}}
	}
	for i, v := range published(t, a, pubs...) {
		if v.Result != mqtt.Accepted {
			t.Errorf("%d: %+v", i, v)
		}
	}
	r := <-got
	for name, want := range map[string]string{"Tidegate-Class": "normal", "Tidegate-Route": "in", "Tidegate-Device": "", "X-All": "yes", "Forwarded": "", "Ce-Id": ""} {
		if v := r.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if key := r.Header.Get("Idempotency-Key"); r.Method != "POST" || r.URL.Path != "/events" || !strings.HasPrefix(key, `"batch-`) {
		t.Errorf("%s %s, %s", r.Method, r.URL, key)
	}
	slices.SortFunc(all, func(x, y arrived) int { return strings.Compare(x.ID, y.ID) })
	if len(all) != 5 {
		t.Fatalf("%d events", len(all))
	}
	for i, e := range all {
		if e.SpecVersion != "1.0" || e.ID != pubs[i].ID || e.Source != "/devices/"+pubs[i].Device.ID || e.Type != "io.tidegate.publish" || e.Subject != pubs[i].Topic ||
			e.Time != "2023-11-14T22:13:20Z" || e.DataContentType != "application/json" || e.Tidegatedevice != pubs[i].Device.ID || e.Xkind != `a"b` ||
			e.Database64 != "" || e.Tidegateclass != "" || e.text() != string(pubs[i].Payload) {
			t.Errorf("%d: %+v", i, e)
		}
		if plain := i < 2; plain != (e.Base64 == "" && e.Data != nil) && len(pubs[i].Payload) > 0 {
			t.Errorf("%d: JSON as %q, else %q", i, e.Data, e.Base64)
		}
	}
}

func TestWhatABatchedPublisherIsTold(t *testing.T) {
	// What the service is to answer the whole, and single events by their payload.
	for name, c := range map[string]struct {
		status  int
		answer  string
		verdict [2]mqtt.Code // of two messages
		single  int          // messages that arrive by themselves
	}{
		"accepted without a word":          {204, "", [2]mqtt.Code{0, 0}, 0},
		"accepted with something else":     {200, `{"result":"fine"}`, [2]mqtt.Code{0, 0}, 0},
		"accepted with no JSON":            {200, `fine`, [2]mqtt.Code{0, 0}, 0},
		"each its own":                     {200, `{"results":[{"id":"m-1","status":422},{"id":"m-7","status":500}]}`, [2]mqtt.Code{0, 0x99}, 0},
		"told apart by source":             {207, `{"results":[{"id":"m-1","source":"/devices/d0","status":422},{"id":"m-0","source":"/devices/d0","status":503}]}`, [2]mqtt.Code{0x97, 0}, 0},
		"without a status":                 {200, `{"results":[{"id":"m-1"}]}`, [2]mqtt.Code{0, 0x80}, 0},
		"results that are none":            {200, `{"results":[{"id":"m-1","status":"422"}]}`, [2]mqtt.Code{0x80, 0x80}, 0},
		"busy":                             {503, `{"results":[{"id":"m-1","status":200}]}`, [2]mqtt.Code{0x97, 0x97}, 0},
		"slow down":                        {429, "", [2]mqtt.Code{0x97, 0x97}, 0},
		"failed":                           {500, "", [2]mqtt.Code{0x80, 0x80}, 0},
		"not allowed":                      {403, "", [2]mqtt.Code{0x87, 0x87}, 0},
		"no such place":                    {404, "", [2]mqtt.Code{0x83, 0x83}, 0},
		"one spoils all":                   {400, "", [2]mqtt.Code{0, 0x99}, 2},
		"too large together":               {413, "", [2]mqtt.Code{0, 0x99}, 2},
		"the service knows no batches":     {415, "", [2]mqtt.Code{0, 0x99}, 2},
		"not even one, and one is no less": {422, "", [2]mqtt.Code{0, 0x99}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			single := 0
			a := handling(t, strings.ReplaceAll(fmt.Sprintf(batchPolicy, "1s"), "messages = 5", "messages = 2"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				all := eventsOf(t, r)
				if r.Header.Get("Ce-Id") == "" {
					w.Header().Set("Content-Type", "application/json; charset=utf-8")
					w.Header().Set("Retry-After", map[bool]string{true: "99999", false: "7"}[c.status == 503])
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.answer)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if single++; all[0].text() == "bad" {
					w.WriteHeader(400)
				}
			}))
			verdicts := published(t, a, fromDevice(0, "in/d0/a", "good"), fromDevice(1, "in/d1/a", "bad"))
			for i, v := range verdicts {
				retry := 7 * time.Second
				if c.status == 503 {
					retry = longestRetry
				}
				if v.Code != c.verdict[i] || v.Code == 0x97 && v.Retry != retry {
					t.Errorf("%d: %+v, want %#x", i, v, c.verdict[i])
				}
			}
			if split := testutil.ToFloat64(a.metrics.batches.split.WithLabelValues("in")); single != c.single || (split == 1) != (c.single > 0) {
				t.Errorf("%d came alone, split %g", single, split)
			}
		})
	}
}

func TestAServiceThatIsGoneFailsTheWholeBatch(t *testing.T) {
	a := handling(t, fmt.Sprintf(batchPolicy, "5ms"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for i, v := range published(t, a, fromDevice(0, "in/d0/a", "x"), fromDevice(1, "in/d1/a", "x")) {
		if v.Result != mqtt.Failed || v.Code != 0x80 {
			t.Errorf("%d: %+v", i, v)
		}
	}
}

func TestEachMessageIsDecidedByItselfBeforeItGathers(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	a := handling(t, fmt.Sprintf(batchPolicy, "20ms"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range eventsOf(t, r) {
			seen = append(seen, e.ID)
		}
	}))
	// Half of the cohorts rank too low.
	a.admissions.local("svc").SetFloor(policy.RankOf(policy.Normal, 64, true, false))
	var pubs []*mqtt.Publication
	for i := range 20 {
		pubs = append(pubs, fromDevice(i, fmt.Sprintf("in/d%d/a", i), "x"))
	}
	pubs = append(pubs, fromDevice(20, "in/d1/a", "x"))
	var want []string
	for i, v := range published(t, a, pubs...) {
		expected := mqtt.QuotaExceeded
		switch {
		case i == 20:
			expected = mqtt.NotAuthorized
		case policy.Cohort(pubs[i].Device.ID, time.Now()) >= 64:
			expected = mqtt.Success
			want = append(want, pubs[i].ID)
		}
		if v.Code != expected {
			t.Errorf("%d: %+v, want %#x", i, v, expected)
		}
	}
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) || len(want) == 0 || len(want) == 20 {
		t.Errorf("came %v, want %v", seen, want)
	}
}

func TestABatchHoldsOneSlotAndCountsByMessage(t *testing.T) {
	busy := make(chan int, 1)
	var a *Agent
	a = handling(t, fmt.Sprintf(batchPolicy, "1s"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		busy <- a.admissions.local("svc").Stats().InFlight
	}))
	var pubs []*mqtt.Publication
	for i := range 5 {
		pubs = append(pubs, fromDevice(i, fmt.Sprintf("in/d%d/a", i), "x"))
	}
	published(t, a, pubs...)
	if n := <-busy; n != 1 {
		t.Errorf("%d slots", n)
	}
	local := a.admissions.local("svc")
	local.Tick(time.Now().Add(100 * time.Millisecond))
	s := local.Stats()
	if perMessage := s.Serving / s.Local[policy.Normal]; s.InFlight != 0 || perMessage < 0.99 || perMessage > 1.01 {
		t.Errorf("%d in flight, %g served, %g arrived", s.InFlight, s.Serving, s.Local[policy.Normal])
	}
}

func TestABatchWaitsNoLongerThanItMay(t *testing.T) {
	for name, c := range map[string]struct {
		wait  string
		pubs  []*mqtt.Publication
		drain bool
	}{
		"its time is over":     {"30ms", []*mqtt.Publication{fromDevice(0, "in/d0/a", "x")}, false},
		"the agent drains":     {"1s", []*mqtt.Publication{fromDevice(0, "in/d0/a", "x")}, true},
		"it would be too long": {"1s", []*mqtt.Publication{fromDevice(0, "in/d0/a", strings.Repeat("x", 3500)), fromDevice(1, "in/d1/a", strings.Repeat("x", 3500))}, true},
		"one is too long":      {"1s", []*mqtt.Publication{fromDevice(0, "in/d0/a", strings.Repeat("x", 9000))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := handling(t, fmt.Sprintf(batchPolicy, c.wait), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if all := eventsOf(t, r); len(all) != 1 {
					t.Errorf("%d together", len(all))
				}
			}))
			if c.drain {
				time.AfterFunc(30*time.Millisecond, a.batches.flush)
			}
			began := time.Now()
			for _, v := range published(t, a, c.pubs...) {
				if v.Result != mqtt.Accepted {
					t.Errorf("%+v", v)
				}
			}
			if took := time.Since(began); took > 800*time.Millisecond {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestAClosingAgentSettlesWhatGathers(t *testing.T) {
	a := handling(t, fmt.Sprintf(batchPolicy, "1s"), http.NotFoundHandler())
	time.AfterFunc(20*time.Millisecond, a.batches.end)
	began := time.Now()
	if v := published(t, a, fromDevice(0, "in/d0/a", "x"))[0]; v.Result != mqtt.Failed || time.Since(began) > 800*time.Millisecond {
		t.Errorf("%+v after %s", v, time.Since(began))
	}
}

func TestAMessageThatIsRefusedInABatchOfItsOwnIsNotSentAgain(t *testing.T) {
	asked := 0
	a := handling(t, fmt.Sprintf(batchPolicy, "1ms"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusBadRequest)
	}))
	if v := published(t, a, fromDevice(0, "in/d0/a", "x"))[0]; v.Code != mqtt.PayloadFormatInvalid || asked != 1 {
		t.Errorf("%+v, asked %d times", v, asked)
	}
}

func TestOnlyWhatHasAllInCommonSharesARequest(t *testing.T) {
	// By tenant: one path for each. A tenant that is over its quota ranks below others.
	src := strings.NewReplacer(`"/events"`, `"/events/{device}"`, `messages = 5`, `messages = 2`,
		`timeout = "5s"`, "timeout = \"5s\"\nquota {\nby = \"tenant\"\nshare = \"1%%\"\n}\n", `"svc" { `, "\"svc\" {\n").Replace(batchPolicy)
	for name, c := range map[string]struct {
		change func(*mqtt.Publication)
		over   bool
		apart  bool
	}{
		"nothing else": {change: func(p *mqtt.Publication) { p.Payload, p.ContentType = []byte("y"), "text/plain" }},
		"the path":     {change: func(p *mqtt.Publication) { p.Device.ID, p.Topic = "d1", "in/d1/a" }, apart: true},
		"the host":     {change: func(p *mqtt.Publication) { p.Host = "other.example" }, apart: true},
		"the QoS":      {change: func(p *mqtt.Publication) { p.QoS = 0 }, apart: true},
		"the time":     {change: func(p *mqtt.Publication) { p.Properties = []mqtt.Property{{Key: "Request-Timeout", Value: "2"}} }, apart: true},
		"the quota":    {change: func(p *mqtt.Publication) { p.Device.Properties = map[string]string{"tenant": "other"} }, over: true, apart: true},
		"both quotas":  {change: func(*mqtt.Publication) {}, over: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := handling(t, fmt.Sprintf(src, "20ms"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if n := len(eventsOf(t, r)); n != 1 && c.apart || n != 2 && !c.apart {
					t.Errorf("%d together", n)
				}
			}))
			if c.over {
				q := a.admissions.gate("svc").quotaOf(policy.QuotaRule{By: "tenant", Share: 0.01})
				for range 1000 {
					q.Begin("acme", 1)
				}
			}
			pubs := []*mqtt.Publication{fromDevice(0, "in/d0/a", "x"), fromDevice(0, "in/d0/a", "x")}
			c.change(pubs[1])
			for _, v := range published(t, a, pubs...) {
				if v.Result != mqtt.Accepted {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

// Whatever a service does to a batch, each message gets one verdict: what was done
// to that message.
func TestEveryMessageGetsOneVerdictItsOwn(t *testing.T) {
	codes := map[string]mqtt.Code{"200": 0, "422": 0x99, "403": 0x87, "503": 0x97, "500": 0x80, "": 0}
	var mu sync.Mutex
	times := map[string]int{}
	whole := 200
	a := handling(t, fmt.Sprintf(batchPolicy, "2ms"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all := eventsOf(t, r)
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Ce-Id") == "" && whole != 200 {
			w.WriteHeader(whole)
			return
		}
		status := 0
		var results []string
		for _, e := range all {
			times[e.Source+" "+e.ID]++
			if e.text() != "" {
				results = append(results, fmt.Sprintf(`{"id":%q,"source":%q,"status":%s}`, e.ID, e.Source, e.text()))
				_, _ = fmt.Sscan(e.text(), &status)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Ce-Id") != "" && status > 0 {
			w.WriteHeader(status)
			return
		}
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(results, ","))
	}))
	rapid.Check(t, func(rt *rapid.T) {
		wanted := rapid.SliceOfN(rapid.SampledFrom([]string{"200", "422", "403", "503", "500", ""}), 1, 23).Draw(rt, "wanted")
		mu.Lock()
		clear(times)
		whole = rapid.SampledFrom([]int{200, 200, 400, 415}).Draw(rt, "whole")
		mu.Unlock()
		pubs := make([]*mqtt.Publication, len(wanted))
		for i, want := range wanted {
			pubs[i] = fromDevice(i, fmt.Sprintf("in/d%d/a", i), want)
			pubs[i].QoS = byte(i % 2)
			pubs[i].ID = "same" // devices may well agree
		}
		verdicts := published(t, a, pubs...)
		mu.Lock()
		defer mu.Unlock()
		for i, v := range verdicts {
			code := codes[wanted[i]]
			if alone := times["/devices/"+pubs[i].Device.ID+" same"]; alone != 1 && whole == 200 {
				rt.Errorf("%d arrived %d times", i, alone)
			}
			if v.Code != code && !(v.Code == 0x99 && whole == 400) { // a batch of one is not sent again
				rt.Errorf("%d: %+v, wanted %q, whole %d", i, v, wanted[i], whole)
			}
		}
		if len(a.batches.open) > 0 {
			rt.Errorf("%d batches left", len(a.batches.open))
		}
	})
}

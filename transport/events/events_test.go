package events

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server of streams behind net/http.
type world struct {
	*Server
	t       *testing.T
	http    *httptest.Server
	changes atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.Server, err = New(Config{Changed: func(string) { w.changes.Add(1) }}); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Serve(rw, r, Request{Device: policy.Device{ID: "d", Properties: map[string]string{"tenant": "acme"}}, Client: q.Get("client"), Epoch: 7, Filters: q["filter"]})
	}))
	t.Cleanup(func() {
		w.Close()
		w.http.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return w
}

type event struct {
	kind, id, data string
}

// listen opens a stream; its events arrive on the channel, which closes at its end.
func (w *world) listen(client string, filters ...string) (events <-chan event, leave func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.http.URL+"?client="+client+"&filter="+strings.Join(filters, "&filter="), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	ch := make(chan event, 100)
	go func() {
		defer close(ch)
		defer resp.Body.Close()
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.kind = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e != (event{}) {
					ch <- e
				}
				e = event{}
			}
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		for range ch {
		}
	})
	return ch, cancel
}

func (w *world) next(events <-chan event) (event, bool) {
	w.t.Helper()
	select {
	case e, ok := <-events:
		return e, ok
	case <-time.After(10 * time.Second):
		w.t.Fatal("nothing within 10 s")
		return event{}, false
	}
}

func (w *world) deliver(id, topic string) <-chan transport.Delivery {
	fate := make(chan transport.Delivery, 1)
	go func() {
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		defer cancel()
		fate <- w.Deliver(ctx, "d", &transport.Command{ID: id, Topic: topic, Payload: []byte("p\n"), ContentType: "text/plain", Expires: time.Now().Add(time.Minute)})
	}()
	return fate
}

func (w *world) wantFate(fate <-chan transport.Delivery, want transport.DeliveryState) {
	w.t.Helper()
	select {
	case got := <-fate:
		if got.State != want {
			w.t.Errorf("%s (%s), want %s", got.State, got.Reason, want)
		}
	case <-time.After(15 * time.Second):
		w.t.Errorf("nothing, want %s", want)
	}
}

func TestACommandIsDeliveredOnceTheDeviceAcknowledgedIt(t *testing.T) {
	w := newWorld(t)
	events, _ := w.listen("c", "commands/%23")
	fate := w.deliver("id-1", "commands/do")
	e, _ := w.next(events)
	var got data
	if err := json.Unmarshal([]byte(e.data), &got); err != nil || e.kind != "message" || e.id != "id-1" || got.Topic != "commands/do" || string(got.Payload) != "p\n" || got.ContentType != "text/plain" {
		t.Errorf("%+v, %v", e, err)
	}
	if len(fate) > 0 {
		t.Error("an answer before the device's")
	}
	if err := w.Acknowledge("d", "id-1", ""); err != nil {
		t.Error(err)
	}
	w.wantFate(fate, transport.Delivered)
	if err := w.Acknowledge("d", "id-1", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("twice: %v", err)
	}

	fate = w.deliver("id-2", "commands/do")
	w.next(events)
	if err := w.Acknowledge("other", "id-2", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("another's: %v", err)
	}
	_ = w.Acknowledge("d", "id-2", "not now")
	w.wantFate(fate, transport.Refused)
}

func TestWhatBecomesOfACommandWithoutAcknowledgement(t *testing.T) {
	w := newWorld(t)
	w.wantFate(w.deliver("a", "commands/do"), transport.Unknown)
	events, leave := w.listen("c", "commands/%23")
	w.wantFate(w.deliver("a", "elsewhere"), transport.Unsubscribed)
	fate := w.deliver("a", "commands/do")
	w.next(events)
	leave()
	w.wantFate(fate, transport.Unknown)
}

func TestWhatWaitsOnAStreamIsBoundedAndTheSameIsWrittenOnce(t *testing.T) {
	w := newWorld(t)
	events, _ := w.listen("c", "commands/%23")
	var fates []<-chan transport.Delivery
	for i := range waitingMost {
		fates = append(fates, w.deliver(fmt.Sprint(i), "commands/do"))
		w.next(events)
	}
	again := w.deliver("0", "commands/do")
	w.wantFate(w.deliver("one more", "commands/do"), transport.Overfull)
	for i := range fates {
		if err := w.Acknowledge("d", fmt.Sprint(i), ""); err != nil {
			t.Fatal(err)
		}
		w.wantFate(fates[i], transport.Delivered)
	}
	w.wantFate(again, transport.Delivered)
	if len(events) > 0 {
		t.Errorf("written again: %+v", <-events)
	}
}

func TestANewerStreamOfTheSameClientEndsTheOlder(t *testing.T) {
	w := newWorld(t)
	old, _ := w.listen("c", "commands/%23")
	other, _ := w.listen("other", "commands/%23")
	w.listen("c", "commands/%23")
	if _, more := w.next(old); more {
		t.Error("the older stream goes on")
	}
	for i := range streamsPerOwner - 1 {
		w.listen(fmt.Sprint(i), "a")
	}
	if _, more := w.next(other); more {
		t.Error("a device has more streams than it may")
	}
	if n := len(w.Sessions("d")); n != streamsPerOwner {
		t.Errorf("%d streams", n)
	}
}

func TestADeviceThatHasToLeaveIsToldWhereTo(t *testing.T) {
	w := newWorld(t)
	events, _ := w.listen("c", "commands/%23")
	fate := w.deliver("a", "commands/do")
	w.next(events)
	left := w.Move(10, func() string { return "192.0.2.1:7443" })
	if len(left) != 1 || len(left["d"]) != 1 || left["d"][0].ID != "a" {
		t.Errorf("left %v", left)
	}
	w.wantFate(fate, transport.Unknown)
	e, _ := w.next(events)
	if e.kind != "leave" || !strings.Contains(e.data, `"server":"192.0.2.1:7443"`) {
		t.Errorf("%+v", e)
	}
	if _, more := w.next(events); more {
		t.Error("the stream goes on")
	}
	if n := len(w.Move(10, func() string { return "" })); n != 0 {
		t.Errorf("%d moved again", n)
	}
}

func TestStreamsAreDescribedTakenOverAndKicked(t *testing.T) {
	w := newWorld(t)
	events, _ := w.listen("c", "commands/%23")
	all := w.Sessions("d")
	if len(all) != 1 || all[0].Client != "c" || all[0].Epoch != 7 || !all[0].Connected || !slices.Equal(all[0].Filters, []string{"commands/#"}) {
		t.Fatalf("%+v", all)
	}
	if d, ok := w.Device("d"); !ok || d.Properties["tenant"] != "acme" {
		t.Errorf("%+v", d)
	}
	if w.TakeOver("d", "c", all[0].Since.Add(-time.Second)); len(w.Sessions("d")) != 1 {
		t.Error("a newer stream was taken over by an older one")
	}
	before := w.changes.Load()
	w.TakeOver("d", "c", all[0].Since)
	if _, more := w.next(events); more || len(w.Devices()) != 0 || w.changes.Load() == before {
		t.Errorf("taken over: %v, %d changes", w.Devices(), w.changes.Load()-before)
	}
	events, _ = w.listen("c", "commands/%23")
	if n := w.Kick("d"); n != 1 {
		t.Errorf("%d kicked", n)
	}
	if _, more := w.next(events); more {
		t.Error("the stream goes on")
	}
}

package ledger

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func told(id string) http.Header { return http.Header{Header: {id}} }

func TestJournalIsReadAsItWasServed(t *testing.T) {
	j := NewJournal(10)
	for _, id := range []string{"r/d/1", "other/d/1", "r/d/2", "", "with space", strings.Repeat("x", maxID+1), "r/d/1"} {
		j.Accept(told(id), nil)
	}
	j.Accept(http.Header{}, nil)
	w := httptest.NewRecorder()
	j.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/journal", nil))
	if lines := strings.Count(w.Body.String(), "\n"); lines != 4 {
		t.Errorf("%d lines:\n%s", lines, w.Body)
	}
	p, err := Read(w.Body, "r")
	if err != nil || p.Forgotten != 0 || !slices.Equal(ids(p), []string{"r/d/1", "r/d/2", "r/d/1"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if own := j.Page("r"); !slices.Equal(ids(own), ids(p)) || !own.Entries[0].At.Equal(p.Entries[0].At) {
		t.Errorf("%+v read, %+v kept", p, own)
	}
}

func ids(p Page) (all []string) {
	for _, e := range p.Entries {
		all = append(all, e.ID)
	}
	return all
}

func TestFullJournalForgetsTheOldestAndSaysSo(t *testing.T) {
	j := NewJournal(3)
	for n := range 8 {
		j.Accept(told(fmt.Sprint("r/d/", n)), nil)
	}
	w := httptest.NewRecorder()
	j.ServeHTTP(w, nil)
	p, err := Read(w.Body, "r")
	if err != nil || p.Forgotten != 5 || !slices.Equal(ids(p), []string{"r/d/5", "r/d/6", "r/d/7"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestEachMessageOfABatchIsAccepted(t *testing.T) {
	j := NewJournal(10)
	h := http.Header{"Content-Type": {"application/cloudevents-batch+json; charset=utf-8"}}
	j.Accept(h, []byte(`[{"id":"a","messageid":"r/d/1"},{"id":"b"},{"id":"c","messageid":"r/d/2"},{"messageid":3}]`))
	j.Accept(h, []byte(`no batch`))
	if got := ids(j.Page("r")); !slices.Equal(got, []string{"r/d/1", "r/d/2"}) {
		t.Error(got)
	}
}

func TestBadJournalIsRefusedWithItsLine(t *testing.T) {
	const good = `{"id":"r/d/1","at":"2030-01-01T00:00:00Z","more":1}` + "\n"
	for name, c := range map[string]struct{ text, says string }{
		"no JSON":  {good + "hello\n", "line 2"},
		"no time":  {`{"id":"r/d/1"}`, "line 1: an entry needs id and at"},
		"no id":    {`{"at":"2030-01-01T00:00:00Z"}`, "line 1: an entry needs"},
		"bad time": {`{"id":"r/d/1","at":"noon"}`, "line 1"},
		"long":     {good + good + strings.Repeat("x", maxLine+1), "line 3 has more than"},
	} {
		if _, err := Read(strings.NewReader(c.text), "r"); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := Read(strings.NewReader(good+`{"forgotten":2}`), "r"); err != nil || len(p.Entries) != 1 || p.Forgotten != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"id":"r/d/1","at":"2030-01-01T00:00:00Z"}` + "\n" + `{"forgotten":7}`)
	f.Add("{\"id\":\"r/\",\"at\":null}\n\n[]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Read(strings.NewReader(text), "r")
		if err != nil && !errors.Is(err, ErrJournal) {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			if !strings.HasPrefix(e.ID, "r/") {
				t.Fatalf("%+v", e)
			}
		}
	})
}

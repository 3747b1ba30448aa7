package device

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEventsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []event
		end  error
	}{
		"one":            {"event: message\nid: 7\ndata: {\"a\":1}\n\n", []event{{"message", "7", []byte(`{"a":1}`)}}, io.EOF},
		"heartbeats":     {":\n: still here\n\n:\ndata:x\n\n", []event{{"message", "", []byte("x")}}, io.EOF},
		"several lines":  {"data: a\ndata: b\n\ndata\n\n", []event{{"message", "", []byte("a\nb")}, {"message", "", []byte("")}}, io.EOF},
		"CR LF":          {"event: leave\r\ndata: {}\r\n\r\n", []event{{"leave", "", []byte("{}")}}, io.EOF},
		"id stays":       {"id: 1\ndata: a\n\ndata: b\n\n", []event{{"message", "1", []byte("a")}, {"message", "1", []byte("b")}}, io.EOF},
		"name does not":  {"event: x\n\ndata: b\n\n", []event{{"message", "", []byte("b")}}, io.EOF},
		"unknown fields": {"retry: 7\nfoo: bar\ndata: b\n\n", []event{{"message", "", []byte("b")}}, io.EOF},
		"cut off":        {"data: b\n", nil, io.EOF},
		"too large":      {"data: " + strings.Repeat("x", eventMost) + "\n\n", nil, errEvent},
		"many lines":     {strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 2000) + "\n", nil, errEvent},
	} {
		for way, r := range map[string]io.Reader{"": strings.NewReader(c.in), " byte by byte": iotest.OneByteReader(strings.NewReader(c.in))} {
			lines := 0
			events := newEventReader(r, func() { lines++ })
			var got []event
			var err error
			for e, end := events.next(); ; e, end = events.next() {
				if err = end; err != nil {
					break
				}
				got = append(got, e)
			}
			if !errors.Is(err, c.end) || len(got) != len(c.want) {
				t.Errorf("%s%s: %d events, %v", name, way, len(got), err)
				continue
			}
			for i, e := range got {
				if e.name != c.want[i].name || e.id != c.want[i].id || string(e.data) != string(c.want[i].data) {
					t.Errorf("%s%s: %+v, want %+v", name, way, e, c.want[i])
				}
			}
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("event: message\nid: 7\ndata: {\"topic\":\"a\",\"payload\":\"eA==\",\"properties\":{\"ce-id\":\"1\"}}\n\n")
	f.Add("event: leave\ndata: {\"server\":\"a:1\",\"retry_ms\":-5}\n\n:\n")
	f.Fuzz(func(t *testing.T, in string) {
		events := newEventReader(strings.NewReader(in), func() {})
		for e, err := events.next(); err == nil; e, err = events.next() {
			_, _ = parseCommand(e)
			if w, err := parseLeave(e.data); err == nil && w.pause < 0 {
				t.Errorf("pause of %s", w.pause)
			}
		}
	})
}

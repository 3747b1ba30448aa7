package device

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawMessage(t *rapid.T) *Message {
	m := &Message{
		ID: rapid.StringN(1, 20, 60).Draw(t, "id"), Topic: rapid.StringN(1, 20, 60).Draw(t, "topic"),
		ContentType: rapid.String().Draw(t, "type"), Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		Properties: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "properties"),
	}
	if rapid.Bool().Draw(t, "expires") {
		m.Expires = time.Unix(0, rapid.Int64().Draw(t, "at"))
	}
	return m
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		got, err := decodeRecord(encodeRecord(m))
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != m.ID || got.Topic != m.Topic || got.ContentType != m.ContentType || !bytes.Equal(got.Payload, m.Payload) ||
			!maps.Equal(got.Properties, m.Properties) || !got.Expires.Equal(m.Expires) {
			t.Fatalf("wrote %+v, read %+v", m, got)
		}
	})
}

func TestADamagedRecordIsNotRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := encodeRecord(drawMessage(t))
		at := rapid.IntRange(0, len(record)-1).Draw(t, "at")
		record[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if m, err := decodeRecord(record); err == nil {
			t.Fatalf("read %+v", m)
		}
		if _, err := decodeRecord(record[:at]); err == nil {
			t.Fatal("read half of it")
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord(&Message{ID: "1", Topic: "t", Payload: []byte("x"), Properties: map[string]string{"k": "v"}, Expires: time.Unix(1, 2)}), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		if !whole { // let it past the checksum
			var m Message
			for len(b) > 0 {
				n := m.decodeField(b)
				if n <= 0 {
					return
				}
				b = b[n:]
			}
			return
		}
		if m, err := decodeRecord(b); err == nil && (m.ID == "" || m.Topic == "") {
			t.Errorf("read %+v", m)
		}
	})
}

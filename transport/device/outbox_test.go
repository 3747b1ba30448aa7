package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func openOutbox(t testing.TB, path string) (*durable, []*entry) {
	t.Helper()
	d, kept, err := openDurable(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, kept
}

func message(i int) *Message {
	return &Message{ID: fmt.Sprint("id-", i), Topic: "t", Payload: fmt.Append(nil, "payload ", i)}
}

func TestTheOutboxKeepsMessagesAcrossAReboot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	d, kept := openOutbox(t, path)
	if len(kept) != 0 {
		t.Fatalf("a new outbox holds %d", len(kept))
	}
	for i := range 10 {
		if err := d.put(&entry{seq: uint64(i + 1)}, message(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []uint64{1, 4, 10} {
		d.drop(&entry{seq: seq})
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := d.put(&entry{seq: 11}, message(10)); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	d, kept = openOutbox(t, path)
	defer d.close()
	var seqs []uint64
	for _, e := range kept {
		seqs = append(seqs, e.seq)
		m, err := d.get(e)
		if want := message(int(e.seq - 1)); err != nil || m.ID != want.ID || string(m.Payload) != string(want.Payload) || e.id != want.ID || e.size != want.size() {
			t.Errorf("%d: %+v, %v", e.seq, m, err)
		}
	}
	if fmt.Sprint(seqs) != "[2 3 5 6 7 8 9]" {
		t.Errorf("kept %v", seqs)
	}
}

// What was put is there after the process was killed, with nothing closed.
func TestAKilledProcessLosesNothingThatWasPut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outbox")
	d, _ := openOutbox(t, path)
	defer d.close()
	if err := d.put(&entry{seq: 1}, message(1)); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(path) // what a reboot would find
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "after")
	if err := os.WriteFile(copied, left, 0o600); err != nil {
		t.Fatal(err)
	}
	after, kept := openOutbox(t, copied)
	defer after.close()
	if len(kept) != 1 || kept[0].id != "id-1" {
		t.Errorf("kept %+v", kept)
	}
}

func TestTheEpochGrowsAcrossReboots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	now := time.Unix(1000, 0)
	var last uint64
	var name string
	for i, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Hour)} { // clocks of devices go wrong
		d, _ := openOutbox(t, path)
		for range 2 {
			n, err := d.epoch(at)
			if err != nil || n <= last || n < uint64(at.UnixMilli()) {
				t.Errorf("reboot %d: %d after %d, %v", i, n, last, err)
			}
			last = n
		}
		client, err := d.client()
		if err != nil || client == "" || name != "" && client != name {
			t.Errorf("reboot %d: client %q, was %q, %v", i, client, name, err)
		}
		name = client
		_ = d.close()
	}
}

func TestADamagedOutboxIsAClearErrorAndStaysAsItIs(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	d, _ := openOutbox(t, whole)
	for i := range 500 {
		if err := d.put(&entry{seq: uint64(i + 1)}, &Message{ID: fmt.Sprint(i), Topic: "t", Payload: make([]byte, 300)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := append([]byte(nil), good...)
		for i := at; i < at+8; i++ {
			b[i] ^= 0xff
		}
		return b
	}
	cases := map[string][]byte{
		"not an outbox":  []byte("hello, this is text"),
		"both metas":     append(make([]byte, 8192), good[8192:]...),
		"cut in half":    good[:len(good)/2],
		"cut to a page":  good[:4096],
		"cut to 3 pages": good[:3*4096],
	}
	for at := 2 * 4096; at < len(good); at += 1771 {
		cases[fmt.Sprint("flipped at ", at)] = flip(at)
	}
	opened := 0
	for name, b := range cases {
		path := filepath.Join(dir, "damaged "+name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, kept, err := openDurable(path)
		if err == nil { // the damage was in a page that is not used
			if opened++; len(kept) != 500 {
				t.Errorf("%s: %d messages, without an error", name, len(kept))
			}
			_ = d.close()
			continue
		}
		if !errors.Is(err, ErrOutbox) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != string(b) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	t.Logf("%d cases, %d of them harmless", len(cases), opened)
}

func TestOneProcessHasAnOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	d, _ := openOutbox(t, path)
	defer d.close()
	if _, _, err := openDurable(path); !errors.Is(err, ErrOutbox) {
		t.Errorf("opened twice: %v", err)
	}
}

func TestManyMessagesShareAWaitForTheDisk(t *testing.T) {
	d, _ := openOutbox(t, filepath.Join(t.TempDir(), "outbox"))
	defer d.close()
	const publishers, each = 100, 20
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				if err := d.put(&entry{seq: uint64(p*each + i + 1)}, message(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	stats := d.db.Stats()
	if n := stats.TxStats.GetWrite(); n > publishers*each { // alone each takes several
		t.Errorf("%d pages written for %d messages", n, publishers*each)
	}
}

func BenchmarkOutbox(b *testing.B) {
	for name, publishers := range map[string]int{"1 publisher": 1, "100 publishers": 100} {
		b.Run(name, func(b *testing.B) {
			d, _ := openOutbox(b, filepath.Join(b.TempDir(), "outbox"))
			defer d.close()
			b.SetParallelism(publishers)
			var seq uint64
			var mu sync.Mutex
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mu.Lock()
					seq++
					e := &entry{seq: seq}
					mu.Unlock()
					if err := d.put(e, &Message{ID: "x", Topic: "t", Payload: make([]byte, 200)}); err != nil {
						b.Error(err)
					}
					d.drop(e)
				}
			})
		})
	}
}

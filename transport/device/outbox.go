package device

import (
	"crypto/rand"
	"sync"
	"time"
)

// keeper is where the messages of an outbox are kept. It does no counting and
// knows no order but that of seq. Its methods may be called concurrently.
type keeper interface {
	// put returns when the message is as safe as it will be.
	put(*entry, *Message) error
	// get returns a message that was put and not dropped.
	get(*entry) (*Message, error)
	// drop forgets a message, soon.
	drop(*entry)
	// epoch returns a number higher than all before, at least the time in Unix
	// milliseconds.
	epoch(time.Time) (uint64, error)
	// client returns the name of this device's sessions, the same each time.
	client() (string, error)
	// close keeps what is to be kept.
	close() error
}

// volatile keeps messages in memory.
type volatile struct {
	mu   sync.Mutex
	last uint64
	name string
}

func (v *volatile) put(e *entry, m *Message) error {
	e.msg = m
	return nil
}

func (v *volatile) get(e *entry) (*Message, error) { return e.msg, nil }

func (v *volatile) drop(*entry) {} // the entry goes, and its message with it

func (v *volatile) epoch(now time.Time) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = max(v.last+1, uint64(now.UnixMilli()))
	return v.last, nil
}

func (v *volatile) client() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.name == "" {
		v.name = rand.Text()
	}
	return v.name, nil
}

func (v *volatile) close() error { return nil }

package device

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The file is one of bbolt: a bucket with the messages, by sequence number, eight
// bytes, big-endian; and one with what else outlives the process.
var (
	bucketMessages = []byte("messages")
	bucketDevice   = []byte("device")
	keyEpoch       = []byte("epoch")
	keyClient      = []byte("client")
)

const (
	openPatience = time.Second // for another process that has the file
	// How long messages that left may stay in the file where nothing else is to
	// be written. Those that are there after a crash are sent again.
	dropLate = 50 * time.Millisecond
)

// durable keeps messages in a file. One goroutine writes: what was asked for
// while it was writing goes into the next transaction together, so that one
// wait for the disk serves many.
type durable struct {
	db *bolt.DB

	mu      sync.Mutex // guards what follows
	puts    []put
	drops   []uint64
	closed  bool
	wake    chan struct{} // has room for one
	stopped chan struct{}
}

type put struct {
	seq    uint64
	record []byte
	done   chan<- error
}

// openDurable opens or makes an outbox and returns what is in it, in order.
// Errors are of kind ErrOutbox, and leave the file as it is.
func openDurable(path string) (d *durable, kept []*entry, err error) {
	defer func() {
		if err != nil {
			d, kept, err = nil, nil, fmt.Errorf("%w %s: %w", ErrOutbox, path, err)
		}
	}()
	db, err := openFile(path)
	if err != nil {
		return nil, nil, err
	}
	kept, err = load(db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	d = &durable{db: db, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	go d.run()
	return d, kept, nil
}

func openFile(path string) (db *bolt.DB, err error) {
	defer explainDamage(&err)()
	db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: openPatience, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = errors.New("it is in use")
	}
	return db, err
}

// explainDamage makes errors of what bbolt and the memory map say of a file that
// is cut off or overwritten. The map, and with it the lock, stays until the
// process ends.
func explainDamage(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if damage := recover(); damage != nil {
			*err = fmt.Errorf("the file is damaged: %v: keep it if its messages matter, and give another name", damage)
		}
	}
}

// load reads every record, because a damaged file that is written to loses
// more.
func load(db *bolt.DB) (kept []*entry, err error) {
	defer explainDamage(&err)()
	if err := checkSize(db); err != nil {
		return nil, err
	}
	err = db.View(func(tx *bolt.Tx) error {
		messages := tx.Bucket(bucketMessages)
		if messages == nil { // it is new
			return nil
		}
		return messages.ForEach(func(key, record []byte) error {
			e, err := keptEntry(key, record)
			kept = append(kept, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return kept, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketMessages)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(bucketDevice)
		}
		return err
	})
}

func checkSize(db *bolt.DB) error {
	info, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("the file is damaged: %d bytes of %d are left: keep it if its messages matter, and give another name", info.Size(), tx.Size())
		}
		return nil
	})
}

func keptEntry(key, record []byte) (*entry, error) {
	if len(key) != 8 {
		return nil, fmt.Errorf("the file is damaged: key %x: keep it if its messages matter, and give another name", key)
	}
	seq := binary.BigEndian.Uint64(key)
	m, err := decodeRecord(record)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w: keep the file if its messages matter, and give another name", seq, err)
	}
	return &entry{seq: seq, id: m.ID, topic: m.Topic, size: m.size(), expires: m.Expires}, nil
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func (d *durable) put(e *entry, m *Message) error {
	done := make(chan error, 1)
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return ErrClosed
	}
	d.puts = append(d.puts, put{e.seq, encodeRecord(m), done})
	d.mu.Unlock()
	d.poke()
	return <-done
}

func (d *durable) drop(e *entry) {
	d.mu.Lock()
	d.drops = append(d.drops, e.seq)
	first := len(d.drops) == 1
	d.mu.Unlock()
	if first {
		time.AfterFunc(dropLate, d.poke)
	}
}

func (d *durable) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run writes until close.
func (d *durable) run() {
	defer close(d.stopped)
	for range d.wake {
		puts, drops, closed := d.take()
		err := d.write(puts, drops)
		for _, p := range puts {
			p.done <- err
		}
		if closed {
			return
		}
		if err != nil { // they are not forgotten: the next transaction tries again
			d.mu.Lock()
			d.drops = append(d.drops, drops...)
			d.mu.Unlock()
		}
	}
}

func (d *durable) take() (puts []put, drops []uint64, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	puts, drops, closed = d.puts, d.drops, d.closed
	d.puts, d.drops = nil, nil
	return puts, drops, closed
}

func (d *durable) write(puts []put, drops []uint64) error {
	if len(puts)+len(drops) == 0 {
		return nil
	}
	err := d.db.Update(func(tx *bolt.Tx) error {
		messages := tx.Bucket(bucketMessages)
		for _, seq := range drops {
			if err := messages.Delete(key(seq)); err != nil {
				return err
			}
		}
		for _, p := range puts {
			if err := messages.Put(key(p.seq), p.record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w %s: write %d messages: %w", ErrOutbox, d.db.Path(), len(puts), err)
	}
	return nil
}

// close writes what is to be written and closes the file.
func (d *durable) close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.poke()
	<-d.stopped
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("%w: close: %w", ErrOutbox, err)
	}
	return nil
}

func (d *durable) get(e *entry) (m *Message, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		m, err = decodeRecord(tx.Bucket(bucketMessages).Get(key(e.seq)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w %s: message %d: %w", ErrOutbox, d.db.Path(), e.seq, err)
	}
	return m, nil
}

func (d *durable) epoch(now time.Time) (n uint64, err error) {
	err = d.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketDevice)
		if last := b.Get(keyEpoch); len(last) == 8 {
			n = binary.BigEndian.Uint64(last)
		}
		n = max(n+1, uint64(now.UnixMilli()))
		return b.Put(keyEpoch, key(n))
	})
	if err != nil {
		return 0, fmt.Errorf("%w %s: count the connection: %w", ErrOutbox, d.db.Path(), err)
	}
	return n, nil
}

func (d *durable) client() (name string, err error) {
	err = d.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketDevice)
		if name = string(b.Get(keyClient)); name != "" {
			return nil
		}
		name = rand.Text()
		return b.Put(keyClient, []byte(name))
	})
	if err != nil {
		return "", fmt.Errorf("%w %s: name the client: %w", ErrOutbox, d.db.Path(), err)
	}
	return name, nil
}

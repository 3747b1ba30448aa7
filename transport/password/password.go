// Package password tells devices by user name and password, against a file of
// bcrypt hashes in the form of htpasswd, with the device's properties behind:
//
//	# name:hash[:property=value,...]
//	meter-7:$2y$10$eImiTXuWVxfM37uY4JANjQ...:tenant=acme,type=meter
//
// The user name is the device's id.
package password

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// The kinds of errors.
var (
	ErrFile  = errors.New("password file")
	ErrWrong = errors.New("wrong user name or password")
)

const (
	fileMost     = 64 << 20 // bytes
	passwordMost = 72       // bytes: bcrypt looks at no more
	cacheMost    = 16 << 10 // passwords that were found to be right
	waitMost     = 64       // devices whose password waits to be checked
)

// File is a password file as last read. Safe for concurrent use.
type File struct {
	path  string
	users atomic.Pointer[users]
	key   [32]byte // of the cache, so that it holds nothing that can be guessed at

	checking chan struct{} // takes as many as may be checked at a time: bcrypt is slow on purpose
	waiting  atomic.Int32

	mu    sync.Mutex                   // guards what follows
	right map[[sha256.Size]byte]uint64 // passwords that were right, and in which reading
	read  uint64
}

// users does not change.
type users struct {
	byName  map[string]user
	reading uint64
}

type user struct {
	hash   []byte
	device policy.Device
}

// Open reads a password file. Errors are of kind ErrFile.
func Open(path string) (*File, error) {
	f := &File{path: path, checking: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), right: map[[sha256.Size]byte]uint64{}}
	_, _ = rand.Read(f.key[:])
	return f, f.Reload()
}

// Reload reads the file again. What is wrong with it changes nothing.
func (f *File) Reload() error {
	raw, err := read(f.path)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrFile, f.path, err)
	}
	byName, err := parse(raw)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrFile, f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read++
	f.users.Store(&users{byName: byName, reading: f.read})
	return nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, fileMost+1))
	if err == nil && len(raw) > fileMost {
		err = fmt.Errorf("more than %d bytes", fileMost)
	}
	return raw, err
}

func parse(raw []byte) (map[string]user, error) {
	all := map[string]user{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, u, err := parseUser(line)
		if _, twice := all[name]; err == nil && twice {
			err = errors.New("is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d, user %.80q: %w", n, name, err)
		}
		all[name] = u
	}
	return all, lines.Err()
}

func parseUser(line string) (name string, u user, err error) {
	name, rest, _ := strings.Cut(line, ":")
	hash, properties, _ := strings.Cut(rest, ":")
	if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return name, u, fmt.Errorf("no bcrypt hash: make one with htpasswd -nB: %w", err)
	}
	known := map[string]string{}
	for pair := range strings.SplitSeq(properties, ",") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return name, u, fmt.Errorf("property %.80q is not name=value", pair)
		}
		known[key] = value
	}
	u.hash = []byte(hash)
	u.device, err = transport.NewDevice(name, known)
	u.device.Proof = proofOf(u.hash)
	return name, u, err
}

// nobody is checked for names that are not there, so that the time that an answer
// takes does not tell which are. It is the hash of "nobody".
const nobody = "$2a$10$t9eEbJ4LKEFoFCKqTEoDsOxAK7QisaHF7SC7pRqhEtVT7hIZ7KpkC"

// proofPrefix begins the proof of devices that showed a password.
const proofPrefix = "password "

// proofOf tells a password from the next one, and nothing of it.
func proofOf(hash []byte) string {
	sum := sha256.Sum256(hash)
	return proofPrefix + hex.EncodeToString(sum[:8])
}

// Stands says that what a device showed still counts: its password is in the file,
// or it showed something else.
func (f *File) Stands(d *policy.Device) bool {
	return !strings.HasPrefix(d.Proof, proofPrefix) || f.users.Load().byName[d.ID].device.Proof == d.Proof
}

// Has says whether there is such a user.
func (f *File) Has(name string) bool {
	_, known := f.users.Load().byName[name]
	return known
}

// Verify tells the device. Errors are of kind ErrWrong or transport.ErrBusy.
func (f *File) Verify(ctx context.Context, name, password string) (policy.Device, error) {
	now := f.users.Load()
	u, known := now.byName[name]
	if !known {
		if err := f.check(ctx, []byte(nobody), password); err != nil {
			return policy.Device{}, err
		}
		return policy.Device{}, ErrWrong
	}
	sum := f.sum(name, password)
	if f.wasRight(sum, now) {
		return u.device, nil
	}
	if err := f.check(ctx, u.hash, password); err != nil {
		return policy.Device{}, err
	}
	f.remember(sum, now)
	return u.device, nil
}

func (f *File) check(ctx context.Context, hash []byte, password string) error {
	if len(password) > passwordMost {
		return fmt.Errorf("%w: longer than %d bytes", ErrWrong, passwordMost)
	}
	defer f.waiting.Add(-1)
	if f.waiting.Add(1) > waitMost {
		return fmt.Errorf("%w: %d passwords wait to be checked", transport.ErrBusy, waitMost)
	}
	select {
	case f.checking <- struct{}{}:
		defer func() { <-f.checking }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", transport.ErrBusy, ctx.Err())
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return ErrWrong
	}
	return nil
}

func (f *File) sum(name, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, f.key[:])
	_, _ = io.WriteString(h, name)
	_, _ = h.Write([]byte{0})
	_, _ = io.WriteString(h, password)
	h.Sum(sum[:0])
	return sum
}

func (f *File) wasRight(sum [sha256.Size]byte, now *users) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.right[sum] == now.reading
}

// remember spares the next check, as long as the file stays as it is.
func (f *File) remember(sum [sha256.Size]byte, now *users) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.right) >= cacheMost {
		clear(f.right)
	}
	f.right[sum] = now.reading
}

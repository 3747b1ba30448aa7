package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// The last-known-good file is one JSON object:
//
//	{"format":1,"sha256":"<hex>","body":{"region":"eu-1","services":{"alarms":{"updated":"...","instances":[...]}}}}
//
// The sum is over the bytes of body as written, so that a torn or half-edited
// file is recognised. It protects from accidents, not from people who may
// write to the data directory.
const (
	lastGoodName   = "catalog.json"
	lastGoodFormat = 1
	lastGoodLimit  = 64 << 20 // bytes
)

type envelope struct {
	Format int             `json:"format"`
	SHA256 string          `json:"sha256"`
	Body   json.RawMessage `json:"body"`
}

type lastGood struct {
	Region   string           `json:"region"`
	Services map[string]saved `json:"services"`
}

func encodeLastGood(g lastGood) ([]byte, error) {
	body, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("encode last-known-good: %w", err)
	}
	sum := sha256.Sum256(body)
	return json.Marshal(envelope{lastGoodFormat, hex.EncodeToString(sum[:]), body})
}

// decodeLastGood reads what encodeLastGood wrote; anything else is an error of
// kind ErrCorrupt.
func decodeLastGood(data []byte) (lastGood, error) {
	var e envelope
	var g lastGood
	if err := json.Unmarshal(data, &e); err != nil {
		return g, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if e.Format != lastGoodFormat {
		return g, fmt.Errorf("%w: format %d, want %d", ErrCorrupt, e.Format, lastGoodFormat)
	}
	if sum := sha256.Sum256(e.Body); hex.EncodeToString(sum[:]) != e.SHA256 {
		return g, fmt.Errorf("%w: checksum does not match", ErrCorrupt)
	}
	if err := json.Unmarshal(e.Body, &g); err != nil {
		return lastGood{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := g.check(); err != nil {
		return lastGood{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return g, nil
}

func (g lastGood) check() error {
	for name, s := range g.Services {
		ids := make(map[string]bool, len(s.Instances))
		for _, i := range s.Instances {
			if i.Service != name || i.ID == "" || ids[i.ID] {
				return fmt.Errorf("instance %q of service %q is of service %q or there twice", i.ID, name, i.Service)
			}
			ids[i.ID] = true
			if _, _, err := net.SplitHostPort(i.Address); err != nil {
				return fmt.Errorf("instance %q of service %q: address: %w", i.ID, name, err)
			}
		}
	}
	return nil
}

// loadLastGood reads the file of a data directory; none is no error.
func loadLastGood(dir, region string) (map[string]saved, error) {
	path := filepath.Join(dir, lastGoodName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open last-known-good: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, lastGoodLimit))
	if err != nil {
		return nil, fmt.Errorf("read last-known-good %s: %w", path, err)
	}
	g, err := decodeLastGood(data)
	if err != nil {
		return nil, fmt.Errorf("read last-known-good %s: %w", path, err)
	}
	if g.Region != region {
		return nil, fmt.Errorf("read last-known-good %s: %w: it is of region %q, this is %q", path, ErrCorrupt, g.Region, region)
	}
	return g.Services, nil
}

// storeLastGood replaces the file so that a crash at any moment leaves the old
// or the new one whole.
func storeLastGood(dir string, g lastGood) error {
	data, err := encodeLastGood(g)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, lastGoodName)
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("write last-known-good %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
}

// saveEvery is how often an unchanged catalog is written, so that its age
// after a crash is not overstated by more than this.
const saveEvery = 5 * time.Minute

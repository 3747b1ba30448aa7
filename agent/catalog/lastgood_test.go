package catalog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func sampleLastGood() lastGood {
	i := inst("node/a", Ready)
	i.Address, i.Tags, i.Meta = "[::1]:80", []string{"<canary>"}, map[string]string{"version": "2"}
	return lastGood{Region: "eu-1", Services: map[string]saved{"alarms": {Updated: t0, Instances: []Instance{i}}}}
}

func TestLastKnownGoodComesBackAsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	want := sampleLastGood()
	for range 2 { // the second replaces the first
		if err := storeLastGood(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := loadLastGood(dir, "eu-1")
	if err != nil || !reflect.DeepEqual(got, want.Services) {
		t.Errorf("read %v (error %v), want %v", got, err, want.Services)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("directory holds %v (error %v), want the file alone", files, err)
	}
	info, err := os.Stat(filepath.Join(dir, lastGoodName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v (error %v), want 0600", info.Mode(), err)
	}
}

func TestTornFileIsRecognisedWhereverItIsTorn(t *testing.T) {
	data, err := encodeLastGood(sampleLastGood())
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := decodeLastGood(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("torn after %d of %d bytes: %v, want ErrCorrupt", n, len(data), err)
		}
	}
	altered := bytes.Replace(data, []byte(`[::1]:80`), []byte(`[::2]:80`), 1)
	if _, err := decodeLastGood(altered); !errors.Is(err, ErrCorrupt) {
		t.Errorf("altered: %v, want ErrCorrupt", err)
	}
}

func TestDamagedOrForeignFileIsNotLoaded(t *testing.T) {
	dir := t.TempDir()
	if got, err := loadLastGood(dir, "eu-1"); got != nil || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	if err := storeLastGood(dir, sampleLastGood()); err != nil {
		t.Fatal(err)
	}
	if _, err := loadLastGood(dir, "us-1"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("file of another region: %v, want ErrCorrupt", err)
	}
	path := filepath.Join(dir, lastGoodName)
	if err := os.Truncate(path, 40); err != nil {
		t.Fatal(err)
	}
	if _, err := loadLastGood(dir, "eu-1"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("torn file: %v, want ErrCorrupt", err)
	}
	c, err := NewConsul(ConsulConfig{Address: "127.0.0.1:1"}, Options{Region: "eu-1", DataDir: dir})
	if err != nil {
		t.Fatalf("a torn file keeps the agent from starting: %v", err)
	}
	c.Close()
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := storeLastGood(blocked, sampleLastGood()); err == nil {
		t.Error("writing below a file says it worked")
	}
	if err := os.Mkdir(filepath.Join(dir, lastGoodName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := storeLastGood(dir, sampleLastGood()); err == nil {
		t.Error("replacing a directory says it worked")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("a failed write leaves %v behind (error %v)", files, err)
	}
}

func FuzzLastKnownGood(f *testing.F) {
	whole, err := encodeLastGood(sampleLastGood())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"format":1,"sha256":"","body":null}`))
	f.Add([]byte(`{"format":1,"sha256":"74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b","body":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := decodeLastGood(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is of no kind", err)
			}
			return
		}
		again, err := encodeLastGood(g)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := decodeLastGood(again); err != nil || !reflect.DeepEqual(back, g) {
			t.Fatalf("read %+v, then %+v (error %v)", g, back, err)
		}
		l := newLedger(0, g.Services)
		l.follow([]string{"alarms", ""}, t0)
		l.snapshot()
	})
}

package password

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/tidegate/tidegate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hashed(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func fileOf(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "devices.passwd")
	write(t, path, lines...)
	return path
}

func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDevicesByPassword(t *testing.T) {
	f, err := Open(fileOf(t, "# devices", "", "d1:"+hashed(t, "one")+":tenant=acme,type=meter", "d2:"+hashed(t, "two")))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from memory
		d, err := f.Verify(t.Context(), "d1", "one")
		if err != nil || d.ID != "d1" || d.Properties["tenant"] != "acme" || d.Properties["type"] != "meter" {
			t.Errorf("%+v, %v", d, err)
		}
		for name, password := range map[string]string{"d1": "two", "d2": "", "d3": "nobody", "d4": "one", "": "", "D1": "one"} {
			if d, err := f.Verify(t.Context(), name, password); !errors.Is(err, ErrWrong) || d.ID != "" {
				t.Errorf("%q with %q: %+v, %v", name, password, d, err)
			}
		}
	}
	if _, err := f.Verify(t.Context(), "d1", "one"+strings.Repeat("x", 80)); !errors.Is(err, ErrWrong) {
		t.Errorf("a long one: %v", err)
	}
}

func TestBadFilesChangeNothing(t *testing.T) {
	good := "d1:" + hashed(t, "one")
	path := fileOf(t, good)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		good + "\nd2:plain":                    "line 2, user \"d2\": no bcrypt hash",
		good + "\n" + good:                     "is there twice",
		"a b:" + hashed(t, "x") + "\n":         "line 1",
		"d1:" + hashed(t, "x") + ":tenant":     "is not name=value",
		"d1":                                   "no bcrypt hash",
		":" + hashed(t, "x"):                   "line 1",
		"d1:" + hashed(t, "x") + ":bad name=x": "line 1",
	} {
		write(t, path, bad)
		if err := f.Reload(); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
		if _, err := f.Verify(t.Context(), "d1", "one"); err != nil {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := Open(path + ".absent"); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
}

// A password that was right is not remembered beyond the file that said so.
func TestAChangedFileCounts(t *testing.T) {
	path := fileOf(t, "d1:"+hashed(t, "one"))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), "d1", "one"); err != nil {
		t.Fatal(err)
	}
	write(t, path, "d1:"+hashed(t, "new")+":tenant=acme")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), "d1", "one"); !errors.Is(err, ErrWrong) {
		t.Errorf("the old one: %v", err)
	}
	if d, err := f.Verify(t.Context(), "d1", "new"); err != nil || d.Properties["tenant"] != "acme" {
		t.Errorf("%+v, %v", d, err)
	}
}

// Whoever tries passwords takes a bounded part of the machine, and is refused
// beyond; those who were right before are not held up.
func TestGuessingIsBounded(t *testing.T) {
	f, err := Open(fileOf(t, "d1:"+hashed(t, "one")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), "d1", "one"); err != nil {
		t.Fatal(err)
	}
	for range cap(f.checking) {
		f.checking <- struct{}{} // all are busy
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, waitMost+10)
	for i := range waitMost + 10 {
		go func() {
			_, err := f.Verify(ctx, "d1", fmt.Sprint("guess ", i))
			results <- err
		}()
	}
	for range 10 {
		if err := <-results; !errors.Is(err, transport.ErrBusy) || errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if _, err := f.Verify(t.Context(), "d1", "one"); err != nil {
		t.Errorf("known: %v", err)
	}
	cancel()
	for range waitMost {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("d1:$2a$04$abcdefghijklmnopqrstuuWZ3zJ9XzqO0yq1cX7dGmZ3f1vUuC6yS:tenant=acme\n# c\n"))
	f.Add([]byte("d1:x:y:z\n::\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := parse(raw)
		if err != nil {
			return
		}
		for name, u := range all {
			if name == "" || u.device.ID != name {
				t.Fatalf("%q: %+v", name, u)
			}
		}
	})
}

package transport

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResetKeyIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := LoadOrCreateResetKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreateResetKey(dir)
	if err != nil || *first != *second {
		t.Fatal("another key after a restart", err)
	}
	other, err := LoadOrCreateResetKey(t.TempDir())
	if err != nil || *other == *first {
		t.Fatal("two agents share a key", err)
	}
	info, err := os.Stat(filepath.Join(dir, resetKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
}

func TestTornResetKeyIsReplaced(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreateResetKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, resetKeyFile)
	whole, _ := os.ReadFile(path)
	for name, torn := range map[string][]byte{"empty": {}, "half": whole[:20], "no checksum": whole[:32], "zeros": make([]byte, len(whole))} {
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := LoadOrCreateResetKey(dir)
		if err != nil || *key == *first {
			t.Errorf("%s: %v", name, err)
		}
		if again, err := LoadOrCreateResetKey(dir); err != nil || *again != *key {
			t.Errorf("%s: the new key was not kept: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Error("left over:", left)
	}
}

func TestUnreadableResetKeyIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, resetKeyFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateResetKey(dir); err == nil {
		t.Error("no error for a directory in the key's place")
	}
}

func TestTokenKeyIsKeptAndIsNoOtherKey(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreateTokenKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := LoadOrCreateTokenKey(dir); err != nil || *again != *first {
		t.Error("another key after a restart", err)
	}
	if reset, err := LoadOrCreateResetKey(dir); err != nil || [32]byte(*reset) == [32]byte(*first) {
		t.Error("one key serves two purposes", err)
	}
	if info, err := os.Stat(filepath.Join(dir, tokenKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

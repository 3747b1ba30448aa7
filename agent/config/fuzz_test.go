package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whatever a file holds, Load returns a configuration or an error of kind
// ErrInvalid, and formatting is stable.
func FuzzLoad(f *testing.F) {
	bad, _ := filepath.Glob("testdata/bad/*.hcl")
	for _, file := range bad {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, false)
	}
	f.Add([]byte(catalogSource), false)
	f.Add([]byte(`{"name": "a1", "gossip": {"keys": ["${env(\"K\")}"]}}`), true)
	f.Add([]byte("group = !!!!!!!true"), false)
	f.Add([]byte("group = a ? b : c ? d : \"${e}%{ for x in y }z%{ endfor }\""), false)
	f.Fuzz(func(t *testing.T, src []byte, asJSON bool) {
		name := "agent.hcl"
		if asJSON {
			name = "agent.json"
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load([]string{path}, func(string) (string, bool) { return "x", false }, nil)
		if (config == nil) == (err == nil) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("got %v, %v", config, err)
		}
		once, err := Format(name, src)
		if err != nil {
			return
		}
		if twice, err := Format(name, once); err != nil || string(once) != string(twice) {
			t.Fatalf("formatting is not stable: %v\n%s\n%s", err, once, twice)
		}
	})
}

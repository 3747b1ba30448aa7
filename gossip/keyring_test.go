package gossip

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestKeysRotateWithoutARestart(t *testing.T) {
	f := newFleet(t)
	spare := bytes.Repeat([]byte{8}, 16)
	f.mod = func(c *Config) { c.Keyring = [][]byte{testKey, spare} }
	f.regions(map[string][]string{"eu-1": {"a", "b"}})
	seq := func() uint64 {
		if d := f.meshes["b"].State().Regions["eu-1"].Digest; d != nil && len(f.meshes["b"].State().Members) == 2 {
			return d.Version.Seq
		}
		return 0
	}
	within(t, 8*time.Second, "both meet", func() bool { return seq() > 0 })
	fresh := bytes.Repeat([]byte{9}, 32)
	for _, round := range []func(*Mesh) error{
		func(m *Mesh) error { return m.AddKey(fresh) },
		func(m *Mesh) error { return m.UseKey(fresh) },
		func(m *Mesh) error { return m.RemoveKey(testKey) },
		func(m *Mesh) error { return m.RemoveKey(spare) },
	} {
		for _, m := range f.meshes {
			if err := round(m); err != nil {
				t.Fatal(err)
			}
		}
		before := seq()
		within(t, 3*time.Second, "reports go on", func() bool { return seq() > before+2 })
	}
	f.mod = nil
	f.start("eu-1", "old", []string{f.addr("a/lan")}, nil) // with the removed key
	f.mod = func(c *Config) { c.Keyring = [][]byte{fresh} }
	f.start("eu-1", "new", []string{f.addr("a/lan")}, nil)
	within(t, 5*time.Second, "the new key joins", func() bool { return len(f.meshes["new"].State().Members) == 3 })
	if n := len(f.meshes["old"].State().Members); n != 1 {
		t.Errorf("with the removed key %d members are seen", n)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	f := newFleet(t)
	m, err := New(f.config("eu-1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"size":        m.AddKey([]byte("short")),
		"use unknown": m.UseKey(bytes.Repeat([]byte{1}, 32)),
		"remove used": m.RemoveKey(testKey),
	} {
		if !errors.Is(err, ErrKeyring) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

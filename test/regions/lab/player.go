//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/tidegate/tidegate/test/child"
)

// player is this program in a role, where the devices are.
type player struct {
	proc    *child.Process
	readers sync.WaitGroup
}

// play starts a player. told is what it reads first; what it prints is taken,
// one value after the other, until it ends.
func play[T any](m *mesh, role string, told any, take func(T)) (*player, error) {
	in, err := m.note(role+".json", told)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd := exec.Command("/proc/self/exe", role)
	cmd.Stdin, cmd.Stdout = in, w
	p := &player{}
	if p.proc, err = m.wan.Region(field).Start(cmd, m.log(role)); err != nil {
		_ = r.Close()
		return nil, err
	}
	p.readers.Go(func() {
		defer r.Close()
		for values := json.NewDecoder(bufio.NewReader(r)); ; {
			var v T
			if values.Decode(&v) != nil {
				return // the process ended
			}
			take(v)
		}
	})
	return p, nil
}

// stop has it end in its own way, and returns when all it said is taken.
func (p *player) stop() {
	terminate(p.proc, farewell+patience)
	p.proc.Kill()
	p.readers.Wait()
}

// note writes a value into a file of this run, and opens that.
func (m *mesh) note(name string, v any) (*os.File, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return os.Open(file)
}

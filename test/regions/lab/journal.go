//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const journalName = "journal"

// numbered is the last part of the path of messages that are kept in journals.
const numbered = "/numbered"

// entry is a numbered message as a service got it.
type entry struct {
	ID   string // ce-id
	Body string // the device's own number of it
}

// journal is what the services of a region got: a line each, which is in the
// file before the message is acknowledged and so outlives a kill.
type journal struct{ file *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &journal{f}, nil
}

func (j *journal) note(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// received counts, by ce-id and by number, what services of all regions got.
type received struct {
	times map[string]int             // by ce-id
	ids   map[string]map[string]bool // by number
}

func (m *mesh) received() (received, error) {
	all := received{map[string]int{}, map[string]map[string]bool{}}
	for _, r := range m.regions {
		if err := all.read(r.path(journalName)); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (r *received) read(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read journal %s: %q: %w", path, lines.Text(), err)
		}
		r.times[e.ID]++
		if r.ids[e.Body] == nil {
			r.ids[e.Body] = map[string]bool{}
		}
		r.ids[e.Body][e.ID] = true
	}
	return lines.Err()
}

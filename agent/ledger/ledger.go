// Package ledger tells what became of numbered messages: devices number what they
// send, services keep a journal of what they accepted, and Join compares the two.
package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Header carries the id of a message, the same in every attempt to send it; over
// MQTT it is a user property, in a CloudEvent of a batch the attribute batchAttribute.
const Header = "Message-Id"

// Entry says that a service accepted a message: a line of its journal.
type Entry struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// Page is what a journal holds of one run.
type Page struct {
	Entries   []Entry // in the order in which they were accepted
	Forgotten uint64  // older entries, of any run, that the journal dropped since it began
}

// line is one of a journal as it is written: an entry, or how many were forgotten.
type line struct {
	ID        string     `json:"id,omitempty"`
	At        *time.Time `json:"at,omitempty"`
	Forgotten uint64     `json:"forgotten,omitempty"`
}

const (
	maxID      = 256  // bytes
	maxLine    = 1024 // bytes
	maxEntries = 10_000_000
)

// ErrJournal is the kind of errors about a journal that cannot be understood.
var ErrJournal = errors.New("journal")

// Read takes in a journal, JSON lines, and keeps the entries whose id begins with run
// and a slash. Fields that it does not know are ignored. Errors of the journal itself
// are of kind ErrJournal and name the line.
func Read(r io.Reader, run string) (Page, error) {
	var p Page
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		if err := p.take(lines.Bytes(), run+"/"); err != nil {
			return Page{}, fmt.Errorf("%w: line %d: %w", ErrJournal, number, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return Page{}, fmt.Errorf("%w: line %d has more than %d bytes", ErrJournal, number+1, maxLine)
	case err != nil:
		return Page{}, err
	}
	return p, nil
}

func (p *Page) take(text []byte, prefix string) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	switch {
	case l.Forgotten > 0:
		p.Forgotten += l.Forgotten
	case l.ID == "" || l.At == nil:
		return errors.New("an entry needs id and at")
	case strings.HasPrefix(l.ID, prefix):
		if len(p.Entries) == maxEntries {
			return fmt.Errorf("more than %d entries of one run", maxEntries)
		}
		p.Entries = append(p.Entries, Entry{l.ID, *l.At})
	}
	return nil
}

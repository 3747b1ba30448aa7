package schedule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// Done is one episode that was run and judged: a line of the log.
type Done struct {
	Seed     uint64      `json:"seed"`
	Schedule string      `json:"schedule"` // its ID
	Episode  int         `json:"episode"`  // from 1
	What     []string    `json:"what"`
	Seconds  float64     `json:"seconds"`
	Counts   Counts      `json:"counts"`
	Bars     []judge.Bar `json:"bars"`
}

// Counts of messages and devices, which add up.
type Counts struct {
	Sent       int `json:"sent"`
	Critical   int `json:"critical"` // at living edges
	CriticalOK int `json:"critical_ok"`
	Acked      int `json:"acked"` // 2xx
	Lost       int `json:"lost"`  // acknowledged, but no service has them
	Twice      int `json:"twice"` // that a service has more than once
	Back       int `json:"back"`  // SDK devices of lost regions, elsewhere in time
	Away       int `json:"away"`  // the same, too late
}

// Add adds others.
func (c *Counts) Add(o Counts) {
	c.Sent += o.Sent
	c.Critical += o.Critical
	c.CriticalOK += o.CriticalOK
	c.Acked += o.Acked
	c.Lost += o.Lost
	c.Twice += o.Twice
	c.Back += o.Back
	c.Away += o.Away
}

// ID tells schedules apart.
func (s *Schedule) ID() string {
	h := fnv.New64a()
	fmt.Fprint(h, s)
	return fmt.Sprintf("%016x", h.Sum64())
}

// Log is a file with a line for each episode that was run.
type Log struct {
	path string
	Done []Done // in the order of the file
}

// OpenLog reads a log; one that is not there is empty. A last line that was cut
// off by a crash is not counted, and overwritten by the next; any other line that
// is none is an error.
func OpenLog(path string) (*Log, error) {
	l := &Log{path: path}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	whole := 0
	for n := 1; whole < len(raw); n++ {
		length, line, _ := bufio.ScanLines(raw[whole:], false)
		if length == 0 {
			break
		}
		var d Done
		if err := json.Unmarshal(line, &d); err != nil {
			return nil, fmt.Errorf("read the log %s, line %d: %w", path, n, err)
		}
		l.Done = append(l.Done, d)
		whole += length
	}
	if whole < len(raw) {
		if err := os.Truncate(path, int64(whole)); err != nil {
			return nil, fmt.Errorf("cut the last line of the log, which is not whole: %w", err)
		}
	}
	return l, nil
}

// Kept says that there is a file.
func (l *Log) Kept() bool { return l.path != "" }

// Add appends an episode. Without a path it is only kept in memory.
func (l *Log) Add(d Done) error {
	l.Done = append(l.Done, d)
	if l.path == "" {
		return nil
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	return errors.Join(err, f.Close())
}

// Of a schedule: what was done, by the number of the episode.
func (l *Log) Of(s *Schedule) map[int]Done {
	done := map[int]Done{}
	for _, d := range l.Done {
		if d.Seed == s.Seed && d.Schedule == s.ID() {
			done[d.Episode] = d
		}
	}
	return done
}

package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// event is a server-sent event.
type event struct {
	name string // "message" where the server gives none
	id   string // of this event, or of the last one that had one
	data []byte
}

// eventMost bounds an event, in bytes.
const eventMost = 1 << 20

var errEvent = errors.New("event stream")

// eventReader reads server-sent events (HTML Standard, section 9.2).
type eventReader struct {
	r     *bufio.Reader
	alive func() // called for each line
	last  string // id
}

func newEventReader(r io.Reader, alive func()) *eventReader {
	return &eventReader{r: bufio.NewReader(r), alive: alive}
}

// next returns the next event that has data.
func (e *eventReader) next() (event, error) {
	ev := event{name: "message"}
	data, any := []byte(nil), false
	for size := 0; ; {
		line, err := e.line(eventMost - size)
		if err != nil {
			return event{}, err
		}
		e.alive()
		size += len(line)
		if len(line) == 0 {
			if any {
				ev.id, ev.data = e.last, bytes.TrimSuffix(data, []byte("\n"))
				return ev, nil
			}
			ev, size = event{name: "message"}, 0
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.name = string(value)
		case "id":
			e.last = string(value)
		case "data":
			data, any = append(append(data, value...), '\n'), true
		}
	}
}

// line reads one without its end, which is LF or CR LF.
func (e *eventReader) line(most int) ([]byte, error) {
	var line []byte
	for {
		part, err := e.r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > most {
			return nil, fmt.Errorf("%w: an event of more than %d bytes", errEvent, eventMost)
		}
		if err == nil {
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

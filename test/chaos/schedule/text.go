package schedule

import (
	"fmt"
	"strings"
	"time"
)

// String is the schedule as a file that people read and Parse reads again.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# go run ./test/chaos --seed %d --for %s\n", s.Seed, s.Lasts)
	for n, episode := range Episodes(s.Events) {
		fmt.Fprintf(&b, "# episode %d\n", n+1)
		for i := range episode {
			fmt.Fprintln(&b, &episode[i])
		}
	}
	return b.String()
}

// Parse reads a schedule: a line for each event, in the order of their times, and
// # before what is not for the program, the first line apart, which names the
// seed. It must keep Mesh.Check. Errors are of kind ErrInvalid.
func Parse(m *Mesh, text string) (s Schedule, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			s.readHead(line)
			continue
		}
		if line == "" {
			continue
		}
		e, err := ParseEvent(m, line)
		if err != nil {
			return s, err
		}
		if n := len(s.Events); n > 0 && e.At < s.Events[n-1].At {
			return s, fmt.Errorf("%w: %q comes before %q: put them in the order of their times", ErrInvalid, line, &s.Events[n-1])
		}
		s.Events = append(s.Events, e)
	}
	if len(s.Events) == 0 {
		return s, fmt.Errorf("%w: it has no event", ErrInvalid)
	}
	s.Lasts = max(s.Lasts, end(s.Events)+Quiet)
	return s, m.Check(s.Events)
}

func (s *Schedule) readHead(line string) {
	var lasts string
	if n, _ := fmt.Sscanf(line, "# go run ./test/chaos --seed %d --for %s", &s.Seed, &lasts); n == 2 {
		s.Lasts, _ = time.ParseDuration(lasts)
	}
}

//go:build linux

package lab

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// panics judges that no agent said that it panicked, in the whole run.
func (v *ruling) panics() {
	n := 0
	for _, a := range v.agents() {
		for _, line := range a.panics() {
			n++
			v.out.say("    %s: %s", a.name, line)
		}
	}
	v.bar(judge.AtMost("panics and data races in the agents' logs", float64(n), "", 0), v.from, v.until)
}

func (a *agent) panics() (lines []string) {
	f, err := os.Open(a.log())
	if err != nil {
		return nil
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if line := in.Text(); strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
			strings.Contains(line, "WARNING: DATA RACE") || strings.Contains(line, `"panic`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// ledger counts what SDK devices were told is acknowledged, and how often services
// have it.
func (v *ruling) ledger() error {
	got, err := v.received()
	if err != nil {
		return err
	}
	for _, r := range v.fleet.told() {
		if r.ID == "" || r.Err != "" || r.At.Before(v.from) || !r.At.Before(v.until) {
			continue
		}
		v.counts.Acked++
		switch times := got.times[r.ID]; {
		case times == 0:
			v.counts.Lost++
			v.out.say("    acknowledged and lost: %s", r.ID)
		case times > 1:
			v.counts.Twice++
		}
	}
	v.bar(judge.AtMost(fmt.Sprintf("acknowledged and lost, of %d", v.counts.Acked), float64(v.counts.Lost), "messages", 0), v.from, v.from)
	return nil
}

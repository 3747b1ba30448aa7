//go:build linux

package lab

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// event is what an agent noticed, by its log.
type event struct {
	at    time.Time
	agent *agent
	what  string
	about string // the region or the service
	more  string
}

func (e event) String() string {
	return fmt.Sprintf("%s: %s %s %s", e.agent.name, e.what, e.about, e.more)
}

// The lines of an agent's log that are events.
const (
	regionDown  = "region down: its traffic goes elsewhere"
	regionBack  = "region is back"
	planChanged = "plan changed"
)

// events of all agents in a time, in their order.
func (m *mesh) events(from, until time.Time) (all []event) {
	for _, a := range m.agents() {
		for _, e := range a.events() {
			if !e.at.Before(from) && e.at.Before(until) {
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all
}

func (a *agent) events() (all []event) {
	f, err := os.Open(a.log())
	if err != nil {
		return nil // it has said nothing yet
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Time                           time.Time
			Msg, Remote, Service, From, To string
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // no line of the log
		}
		switch line.Msg {
		case regionDown, regionBack:
			all = append(all, event{line.Time, a, line.Msg, line.Remote, ""})
		case planChanged:
			all = append(all, event{line.Time, a, line.Msg, line.Service, "from " + cmp.Or(line.From, "nowhere") + " to " + cmp.Or(line.To, "nowhere")})
		}
	}
	return all
}

//go:build linux

package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
	"github.com/tidegate/tidegate/transport/device"
)

// second is so many after a moment.
func second(n float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(n * float64(time.Second)))
}

func TestWhatComesToAnAgentThatIsGoneIsNotCounted(t *testing.T) {
	gone := &agent{name: "a"}
	graceful := &exercise{absences: []absence{{gone, second(10), second(20), false}}}
	sudden := &exercise{absences: []absence{{gone, second(10), second(20), true}}}
	for _, c := range []struct {
		what            string
		message         message
		graceful, crash bool // it counts
	}{
		{"answered before", message{Agent: "a", Due: second(8), Took: time.Second}, true, true},
		{"under way when it goes", message{Agent: "a", Due: second(9), Took: 2 * time.Second}, true, false},
		{"while it is gone", message{Agent: "a", Due: second(15)}, false, false},
		{"when it is there again", message{Agent: "a", Due: second(20)}, true, true},
		{"at another", message{Agent: "b", Due: second(15)}, true, true},
	} {
		if got := graceful.living(&c.message); got != c.graceful {
			t.Errorf("%s, after a farewell: counts %v", c.what, got)
		}
		if got := sudden.living(&c.message); got != c.crash {
			t.Errorf("%s, after a crash: counts %v", c.what, got)
		}
	}
}

func TestADeviceIsBackWithItsNextConnection(t *testing.T) {
	connected := func(at float64, addr string) report {
		return report{At: second(at), Phase: device.Connected, Addr: addr}
	}
	lost := func(at float64, why string) report {
		return report{At: second(at), Phase: device.Connecting, Err: why}
	}
	for _, c := range []struct {
		what   string
		states []report
		at     float64 // 0: not
		told   bool
	}{
		{"it says nothing", nil, 0, false},
		{"it is told, and moves first", []report{connected(11, "b")}, 11, true},
		{"it is told, and loses its connection", []report{lost(11, "link: agent leaves"), connected(12, "b")}, 12, true},
		{"it notices silence", []report{lost(11, "agent silent"), connected(12, "b")}, 12, false},
		{"the same agent again", []report{lost(11, "agent silent"), connected(13, "a")}, 13, false},
		{"the same connection, told again", []report{connected(11, "a")}, 0, false},
		{"too late", []report{lost(11, "agent silent"), connected(31, "b")}, 0, false},
	} {
		got := comebackOf("a", c.states, second(30))
		if want := c.at; want == 0 && !got.at.IsZero() || want != 0 && !got.at.Equal(second(want)) {
			t.Errorf("%s: back at %s", c.what, got.at)
		}
		if got.toldToGo() != c.told {
			t.Errorf("%s: told to go %v", c.what, got.toldToGo())
		}
	}
}

func TestJournalsOutliveTheirServiceAndTellDuplicates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for _, e := range []entry{{"id-1", "one"}, {"id-2", "two"}, {"id-1", "one"}, {"id-3", "two"}} {
		j, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.note(e); err != nil {
			t.Fatal(err)
		}
		_ = j.file.Close()
	}
	got := received{map[string]int{}, map[string]map[string]bool{}}
	if err := got.read(path); err != nil {
		t.Fatal(err)
	}
	if got.times["id-1"] != 2 || got.times["id-2"] != 1 || got.times["id-4"] != 0 {
		t.Errorf("times: %v", got.times)
	}
	if len(got.ids["one"]) != 1 || len(got.ids["two"]) != 2 {
		t.Errorf("ids: %v", got.ids)
	}
	if err := os.WriteFile(path, []byte("no entry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got.read(path) == nil {
		t.Error("a broken journal is taken for one")
	}
}

func TestServicesHaveAPace(t *testing.T) {
	p := newPace(20*time.Millisecond, 1)
	began := time.Now()
	done := make(chan error)
	for range 3 {
		go func() { done <- p.work(t.Context()) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("three, one at a time, took %s", took)
	}
	p.room <- struct{}{}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if p.work(left) == nil {
		t.Error("who left is served")
	}
	if (*pace)(nil).work(t.Context()) != nil {
		t.Error("without a pace there is no waiting")
	}
}

func TestTheAgentNearestToItsBoundIsJudged(t *testing.T) {
	small, large := &agent{name: "small"}, &agent{name: "large"}
	x := &exercise{mesh: &mesh{regions: []*region{{agents: []*agent{small, large}}}}}
	before := map[*agent]footprint{small: {100, 10}, large: {1000, 100}}
	now := map[*agent]footprint{small: {146, 13}, large: {1100, 101}}
	g := x.farthest(before, now, func(f footprint) float64 { return f.goroutines })
	if g.agent != small || g.fits() || g.most != 145 {
		t.Errorf("%+v", g)
	}
	h := x.farthest(before, now, func(f footprint) float64 { return f.heap })
	if h.agent != small || !h.fits() {
		t.Errorf("%+v", h)
	}
	if n, err := numberAfter([]byte("x\n# HeapAlloc = 12\n# HeapSys = 13\n"), "\n# HeapAlloc = "); n != 12 || err != nil {
		t.Errorf("%g, %v", n, err)
	}
	if _, err := numberAfter([]byte("nothing"), "total "); err == nil {
		t.Error("what is not there has a number")
	}
}

func TestNoHistoryNoPreviousRelease(t *testing.T) {
	m := &mesh{root: t.TempDir()}
	if commit, err := m.previousCommit(t.Context()); err == nil {
		t.Errorf("it is %q", commit)
	}
	m.opt.previous = "v1"
	if commit, err := m.previousCommit(t.Context()); commit != "v1" || err != nil {
		t.Errorf("%q, %v", commit, err)
	}
}

func TestOneBrokenBarBreaksTheRun(t *testing.T) {
	good, bad := judge.AtMost("", 1, "", 2), judge.AtMost("", 3, "", 2)
	for want, bars := range map[int][]judge.Bar{0: {good}, 1: {good, bad.Refuse("why"), bad}, 3: {bad.Refuse("why"), good}} {
		if got := exitStatus(bars); got != want {
			t.Errorf("%v: %d", bars, got)
		}
	}
}

package main

import (
	"os"
	"testing"
)

// The program under test starts servers from its own file, which is this one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && runRole(os.Args[1]) {
		return
	}
	os.Exit(m.Run())
}

func TestBarsJudgeWhatIsBeyondTheBare(t *testing.T) {
	for name, c := range map[string]struct {
		tls, quic float64
		pass      [2]bool
	}{
		"cheap":               {3000, 9000, [2]bool{true, true}},
		"exactly at the bars": {8000, 10_000, [2]bool{true, true}},
		"dear":                {8001, 10_001, [2]bool{false, false}},
		"cheaper than bare":   {-100, -100, [2]bool{true, true}},
	} {
		bars := barsOf(map[string]float64{bareTLS: 20_000, mqttTLS: 20_000 + c.tls, bareQUIC: 50_000, mqttQUIC: 50_000 + c.quic})
		if [2]bool{bars[0].Pass, bars[1].Pass} != c.pass {
			t.Errorf("%s: %+v", name, bars)
		}
	}
}

// Each kind of device connects, is counted, and leaves nothing behind.
func TestEachKindIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	l, err := newLab()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(l.dir)
	if s, err := l.silent(t.Context(), 100); err != nil || s.each < 500 || s.each > 1e5 || s.wait <= 0 {
		t.Errorf("silent: %+v, %v", s, err)
	}
	for _, k := range kinds {
		if cost, err := l.idle(t.Context(), k, 30); err != nil || cost < 1000 || cost > 1e6 {
			t.Errorf("%s: %g bytes, %v", k.name, cost, err)
		}
	}
}

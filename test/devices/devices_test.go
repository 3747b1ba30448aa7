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
		bars := idleBars(map[string]float64{bareTLS: 20_000, mqttTLS: 20_000 + c.tls, bareQUIC: 50_000, mqttQUIC: 50_000 + c.quic})
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
	if bars, err := l.runSilent(t.Context(), options{silent: 100}); err != nil || bars[0].Value < 0.5 || bars[0].Value > 100 || bars[1].Value <= 0 {
		t.Errorf("silent: %+v, %v", bars, err)
	}
	for _, k := range kinds {
		if cost, _, err := l.idle(t.Context(), k, 30); err != nil || cost < 1000 || cost > 1e6 {
			t.Errorf("%s: %g bytes, %v", k.name, cost, err)
		}
	}
}

// Devices come, lose their agent and come to its fellow; what they publish on the way
// that batches is acknowledged no sooner than it reached the service.
func TestDevicesOfAMesh(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh")
	}
	l, err := newLab()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(l.dir)
	m, err := l.startMesh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Kill()
	for _, way := range []string{"single", "batched"} {
		if rate, err := l.publishing(t.Context(), m, "ledger", way); err != nil || rate < 10 {
			t.Errorf("%s: %g a second, %v", way, rate, err)
		}
	}
	f, err := l.start(t.Context(), roleFleet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Kill()
	for i, edge := range m.Edges {
		if c, err := f.come(t.Context(), edge, 20); err != nil || c.Attempts-c.Refused != 20 || c.Seconds <= 0 {
			t.Errorf("%d: %+v, %v", i, c, err)
		}
		if _, err := m.ask(t.Context(), "/crash"); err != nil {
			t.Error(err)
		}
	}
	if n, err := m.count(t.Context(), "/evictions"); n != 0 || err != nil {
		t.Errorf("%d regions held for dead, %v", n, err)
	}
}

func TestFlagsNameExperiments(t *testing.T) {
	if opt, err := parseFlags([]string{"--only", "idle,storm", "--connections", "100"}); err != nil || len(opt.only) != 2 || opt.connections != 100 {
		t.Errorf("%+v, %v", opt, err)
	}
	for _, bad := range [][]string{{"--only", "rain"}, {"--connections", "99"}, {"idle"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q are taken", bad)
		}
	}
}

func TestBarsSayWhetherTheyHold(t *testing.T) {
	for want, b := range map[string]bar{
		"(≤ 4) holds": atMost("x", 4, 4, "×"), "(≤ 4) BROKEN": atMost("x", 4.1, 4, "×"),
		"(≥ 3) holds": atLeast("x", 3, 3, "×"), "(≥ 3) BROKEN": atLeast("x", 2.9, 3, "×"), "": told("x", 1, "×"),
	} {
		if got := b.verdict(); got != want {
			t.Errorf("%+v: %q, want %q", b, got, want)
		}
	}
}

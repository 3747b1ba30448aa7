package schedule

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestALogResumesWhereItEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s, other := Generate(&sample, 1, 10*time.Minute), Generate(&sample, 2, 10*time.Minute)
	log, err := OpenLog(path)
	if err != nil || len(log.Of(&s)) > 0 {
		t.Fatalf("%v, %v", log, err)
	}
	for n := 1; n <= 3; n++ {
		if err := log.Add(Done{Seed: 1, Schedule: s.ID(), Episode: n, Counts: Counts{Sent: n}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Add(Done{Seed: 2, Schedule: other.ID(), Episode: 7}); err != nil {
		t.Fatal(err)
	}
	again, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	done := again.Of(&s)
	if len(done) != 3 || done[3].Counts.Sent != 3 || len(again.Of(&other)) != 1 {
		t.Errorf("%+v", done)
	}
	longer := Generate(&sample, 1, 20*time.Minute)
	if len(again.Of(&longer)) != 0 {
		t.Error("another schedule of the same seed counts as done")
	}
}

func TestALineThatACrashCutOffIsRunAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := Generate(&sample, 1, 10*time.Minute)
	log, err := OpenLog(path)
	for n := 1; n <= 2 && err == nil; n++ {
		err = log.Add(Done{Seed: 1, Schedule: s.ID(), Episode: n})
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	if log, err = OpenLog(path); err != nil || len(log.Of(&s)) != 1 {
		t.Fatalf("%+v, %v", log, err)
	}
	if err := log.Add(Done{Seed: 1, Schedule: s.ID(), Episode: 2}); err != nil {
		t.Fatal(err)
	}
	if log, err = OpenLog(path); err != nil || len(log.Of(&s)) != 2 {
		t.Fatalf("%+v, %v", log, err)
	}
}

func TestALogThatIsNoneIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("no log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(path); err == nil {
		t.Error("it is read")
	}
}

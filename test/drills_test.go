package test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/drill"
	"github.com/tidegate/tidegate/test/mesh"
	"github.com/tidegate/tidegate/test/overload/judge"
)

// shortRate is the load of a drill in short form, requests a second.
const shortRate = 60

// atOnce is how many drills run side by side: they mostly wait.
const atOnce = 4

var (
	rateLine    = regexp.MustCompile(`(?m)^    rate    = (\d+)(.*)$`)
	samplesLine = regexp.MustCompile(`(?m)^(    samples +)= (\d+)$`)
)

// Every drill of deploy/drills that breaks something but no capacity, each with the
// little load that a busy machine bears. Those about capacity need their own rate.
func TestDrillsHoldInShortForm(t *testing.T) {
	dir := shortDrills(t)
	before, err := judge.Now()
	if err != nil {
		t.Fatal(err)
	}
	binary, turn := mesh.PlainBinary(t), make(chan struct{}, atOnce)
	var all sync.WaitGroup
	var mu sync.Mutex // guards broken
	broken := map[string]string{}
	for _, file := range drillFiles(t, dir) {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if why := runDrill(t.Context(), binary, file); why != "" {
				mu.Lock()
				defer mu.Unlock()
				broken[filepath.Base(file)] = why
			}
		})
	}
	all.Wait()
	after, err := judge.Now()
	if err != nil {
		t.Fatal(err)
	}
	for name, why := range broken {
		if busy := after.Busy(before); busy > 0.8 {
			t.Logf("%s: not judged, the machine was %.0f%% busy: %s", name, 100*busy, why)
			continue
		}
		t.Errorf("%s: %s", name, why)
	}
}

// shortDrills copies the drills with less load.
func shortDrills(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sources, err := filepath.Glob("../deploy/drills/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(source)), shortened(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shortened asks for as many fewer samples as there is less load.
func shortened(text []byte) []byte {
	found := rateLine.FindSubmatch(text)
	if found == nil {
		return text
	}
	rate, _ := strconv.Atoi(string(found[1])) // digits
	text = rateLine.ReplaceAll(text, []byte("    rate    = "+strconv.Itoa(shortRate)+"$2"))
	return samplesLine.ReplaceAllFunc(text, func(line []byte) []byte {
		parts := samplesLine.FindSubmatch(line)
		samples, _ := strconv.Atoi(string(parts[2]))
		return []byte(string(parts[1]) + "= " + strconv.Itoa(max(samples*shortRate/rate/2, 1)))
	})
}

// drillFiles are the drills that are not about capacity.
func drillFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if isDrill := strings.Contains(string(text), `policy  = "region-outage.policy.hcl"`); isDrill {
			files = append(files, file)
		}
	}
	if len(files) < 8 {
		t.Fatalf("only %d drills: %v", len(files), files)
	}
	return files
}

// runDrill says why a drill did not hold; "": it did.
func runDrill(ctx context.Context, binary, file string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "drill", "run", "--json", file).Output()
	var report drill.Report
	if failed := json.Unmarshal(out, &report); failed != nil {
		return "no report: " + failed.Error() + ": " + string(out)
	}
	if report.Outcome == drill.Held && err == nil {
		return ""
	}
	why := string(report.Outcome) + " " + report.Why
	for _, v := range append(report.Steady, report.Invariants...) {
		if !v.Pass {
			why += "; " + v.Name + ": " + strconv.FormatFloat(v.Value, 'f', 3, 64) + " " + v.Unit + " of " + strconv.Itoa(v.Samples) + " " + v.Note
		}
	}
	return why
}

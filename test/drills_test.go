package test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// atOnce is how many drills run side by side: they mostly wait. The next ones begin
// when all are over, for a mesh that starts may take the port of an agent that has
// crashed in another.
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
	binary, broken := mesh.PlainBinary(t), map[string]string{}
	for some := range slices.Chunk(drillFiles(t, dir), atOnce) {
		maps.Copy(broken, runDrills(t.Context(), binary, some))
	}
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

// runDrills side by side and says why some did not hold, by file.
func runDrills(ctx context.Context, binary string, files []string) map[string]string {
	var all sync.WaitGroup
	var mu sync.Mutex // guards broken
	broken := map[string]string{}
	for _, file := range files {
		all.Go(func() {
			if why := runDrill(ctx, binary, file); why != "" {
				mu.Lock()
				defer mu.Unlock()
				broken[filepath.Base(file)] = why
			}
		})
	}
	all.Wait()
	return broken
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
	cmd := exec.CommandContext(ctx, binary, "drill", "run", "--json", file)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var report drill.Report
	if failed := json.Unmarshal(out, &report); failed != nil {
		return "no report: " + failed.Error() + ": " + string(out) + said.String()
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

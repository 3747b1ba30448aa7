package main

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// rows of a table in docs/scale.md that begin with "R × N × S".
func rows(t *testing.T, heading string) (found [][]float64) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(raw), heading)
	if !ok {
		t.Fatalf("docs/scale.md has no %q", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	number := regexp.MustCompile(`[0-9][0-9,.]*`)
	for line := range strings.Lines(part) {
		if !regexp.MustCompile(`^\| [0-9,]+ × [0-9,]+ × [0-9,]+ \|`).MatchString(line) {
			continue
		}
		var row []float64
		for _, text := range number.FindAllString(line, -1) {
			n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			row = append(row, n)
		}
		found = append(found, row)
	}
	return found
}

func TestTheModelSaysWhatWasMeasured(t *testing.T) {
	const off = 0.25
	points := rows(t, "## Measured")
	if len(points) < 4 {
		t.Fatalf("%d points", len(points))
	}
	for _, p := range points {
		m := model{int(p[0]), int(p[1]), int(p[2])}
		for what, pair := range map[string][2]float64{"gateway": {p[3], m.gateway() / 1000}, "other": {p[4], m.other() / 1000}} {
			if math.Abs(pair[1]-pair[0]) > off*pair[0] {
				t.Errorf("%+v, %s: measured %.1f kB/s, the model says %.1f", m, what, pair[0], pair[1])
			}
		}
	}
}

func TestTheTableOfTheModelIsWhatItSays(t *testing.T) {
	table := rows(t, "## The model")
	if len(table) < 4 {
		t.Fatalf("%d rows", len(table))
	}
	for _, row := range table {
		m := model{int(row[0]), int(row[1]), int(row[2])}
		want := fmt.Sprintf("%.0f %.0f", m.gateway()/1000, m.other()/1000)
		if got := fmt.Sprintf("%.0f %.0f", row[3], row[4]); got != want {
			t.Errorf("%+v: the table says %s, the model %s", m, got, want)
		}
	}
}

package test

import (
	"bytes"
	"context"
	"image"
	_ "image/png" // screenshots
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/drill"
	"github.com/tidegate/tidegate/test/mesh"
)

// pictures keeps the screenshots of a drill's report where it names a folder.
const pictures = "TIDEGATE_PICTURES"

// A browser draws a drill's report by itself: offline, without scripts, for light and
// dark screens.
func TestChromiumDrawsTheReportOfADrill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh and a browser")
	}
	program := mesh.Tool(t, "chromium", "chromium")
	dir := t.TempDir()
	if keep := os.Getenv(pictures); keep != "" {
		dir = keep
	}
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, reportPage(t), 0o644); err != nil {
		t.Fatal(err)
	}
	light, dark := shoot(t, program, file, "light"), shoot(t, program, file, "dark", "--blink-settings=preferredColorScheme=0")
	if l, d := brightness(light), brightness(dark); l < 0.8 || d > 0.3 {
		t.Errorf("brightness %.2f on a light screen, %.2f on a dark one", l, d)
	}
	dom := headless(t, program, "--dump-dom", "file://"+file)
	for _, want := range []string{"✓ held", "Where traffic went", "alarms takes 250ms in eu-2", "<path class=\"c-critical curve\" d=\"M"} {
		if !strings.Contains(dom, want) {
			t.Errorf("what the browser has holds no %q", want)
		}
	}
}

// reportPage is that of a short drill with everything in it that a page shows.
func reportPage(t *testing.T) []byte {
	t.Helper()
	d, err := drill.ReadFile("testdata/report.hcl")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	report, err := drill.Run(ctx, d, drill.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

func shoot(t *testing.T, program, file, name string, flags ...string) image.Image {
	t.Helper()
	picture := filepath.Join(filepath.Dir(file), name+".png")
	headless(t, program, append(flags, "--screenshot="+picture, "--window-size=1120,2460", "--hide-scrollbars", "file://"+file)...)
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// headless runs a browser that reaches nothing, and returns what it prints.
func headless(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir=" + t.TempDir(), "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-breakpad",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	if strings.Contains(said.String(), "CONSOLE") {
		t.Errorf("the page has the browser complain:\n%s", &said)
	}
	return string(out)
}

// brightness is the mean of a picture, 0 black to 1 white.
func brightness(img image.Image) float64 {
	sum, count := 0.0, 0.0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 4 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 4 {
			r, g, b, _ := img.At(x, y).RGBA()
			sum += float64(r+g+b) / 3 / 0xffff
			count++
		}
	}
	return sum / count
}

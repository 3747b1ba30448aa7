package dev

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

func TestRunSaysWhatToTryAndHowItGoes(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), RunConfig{Mesh: Config{Regions: 2, Agents: 1}, Devices: 4, Rate: 40, For: 2500 * time.Millisecond, Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^2 regions x 1 agents ready in [0-9.]+ s$`,
		`(?m)^region eu-2 \(group eu\)$`,
		`(?m)^  eu-1-agent-1   devices 127\.0\.0\.1:\d+ +admin http://127\.0\.0\.1:\d+$`,
		`curl --cacert \S+/ca\.pem -d \S+ https://127\.0\.0\.1:\d+/v1/devices/d1/alarms`,
		`curl --cacert \S+/ca\.pem -u d1:[A-Z0-9]{26} -d \S+ https://127\.0\.0\.1:\d+/v1/devices/d1/telemetry`,
		`mosquitto_pub --cafile \S+/ca\.pem -h 127\.0\.0\.1 -p \d+ -u d1 -P [A-Z0-9]{26} -q 1 `,
		`tidegate explain POST /v1/devices/d1/alarms --admin http://\S+ --token [0-9a-f]{32}`,
		`(?m)^   2 s  eu-1 +\d+/s 100\.0% .* \| eu-2 `,
		`(?m)^ +critical +\d+ `,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("nothing like %s in\n%s", want, &out)
		}
	}
}

func TestRunWithoutDevicesWaits(t *testing.T) {
	var out bytes.Buffer
	began := time.Now()
	err := Run(t.Context(), RunConfig{Mesh: Config{Regions: 1, Agents: 1}, For: time.Second, Out: &out})
	if err != nil || time.Since(began) < time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if strings.Contains(out.String(), "requests a second") {
		t.Errorf("a load was run:\n%s", &out)
	}
}

func TestLiveLinesStayAligned(t *testing.T) {
	b := newBoard([]*Region{{Name: "eu-1"}, {Name: "eu-2"}})
	result := func(edge, region string, status int) load.Result {
		return load.Result{Edge: edge, Region: region, Status: status, Latency: 3 * time.Millisecond, Kind: &load.Kind{Class: policy.Bulk}}
	}
	for _, r := range []load.Result{result("eu-1", "eu-1", 200), result("eu-1", "eu-2", 200), result("eu-1", "", 503), result("eu-1", "", 500), result("eu-2", "eu-2", 200)} {
		b.observe(r)
	}
	first := b.line()
	b.observe(result("eu-1", "eu-1", 200))
	second := b.line()
	if want := "eu-1    4/s  50.0%     3 ms eu-1:50% eu-2:50% shed:1 failed:1 | eu-2    1/s 100.0%     3 ms eu-2:100%"; first != want {
		t.Errorf("first line\n%s\nwant\n%s", first, want)
	}
	if want := "eu-1    1/s 100.0%     3 ms eu-1:100%                         | eu-2 quiet"; second != want {
		t.Errorf("second line\n%s\nwant\n%s", second, want)
	}
}

func TestLiveLineSaysWhoIsShedAndWhy(t *testing.T) {
	b := newBoard([]*Region{{Name: "eu-1"}})
	b.causes = func() map[string]map[refusal]string {
		return map[string]map[refusal]string{"eu-1": {{"bulk", "overload"}: "eu-2"}}
	}
	for n, class := range []policy.Class{policy.Bulk, policy.Bulk, policy.High, policy.Normal} {
		r := load.Result{Edge: "eu-1", Status: 503, Latency: time.Millisecond, Kind: &load.Kind{Class: class}, Reason: "overload"}
		if n == 2 {
			r.Reason = "queue-full"
		}
		b.observe(r)
	}
	want := "shed:4 (high queue-full 1, normal overload 1, bulk overload 2 <eu-2)"
	if line := b.line(); !strings.HasSuffix(line, want) {
		t.Errorf("%s\nwant at its end %s", line, want)
	}
}

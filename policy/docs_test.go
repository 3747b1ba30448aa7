package policy_test

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/tidegate/tidegate/policy"
)

func TestDocumentedExamplesCompile(t *testing.T) {
	page, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```(hcl|json)\n(.*?)```").FindAllSubmatch(page, -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		name := fmt.Sprintf("example-%d.%s", i, e[1])
		if _, err := policy.Parse(policy.File{Name: name, Src: e[2]}); err != nil {
			t.Error(err)
		}
	}
}

func TestDocumentedExampleDecidesAsItSays(t *testing.T) {
	page, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	p := compiled(t, string(regexp.MustCompile("(?s)```hcl\n(.*?)```").FindSubmatch(page)[1]))
	hot := &policy.Message{Method: "POST", Path: "/v1/devices/42/telemetry", Payload: []byte(`{"temp": 51}`)}
	hot.Device = policy.Device{ID: "42", Properties: map[string]string{"tenant": "a"}}
	same(t, "hot", routeName(p.Decide(hot, 0, nil)), "hot")
	hot.Payload = []byte(`{"temp": 5}`)
	same(t, "cold", routeName(p.Decide(hot, 0, nil)), "telemetry")
	alarm := p.Decide(&policy.Message{Method: "POST", Path: "/v1/devices/42/alarms"}, 0, nil)
	same(t, "alarm", alarm.Path, "/ingest/42")
}

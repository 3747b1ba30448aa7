package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/test/mesh"
)

// mqttjsModules is where `make tools` installs MQTT.js.
func mqttjsModules(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../.cache/mqttjs/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mqtt")); err != nil {
		mesh.Missing(t, "MQTT.js is not installed (make tools)")
	}
	return dir
}

// jsStep is something that a device by MQTT.js does.
type jsStep struct {
	Do      string `json:"do"` // publish, subscribe, or receive
	Topic   string `json:"topic,omitempty"`
	Payload string `json:"payload,omitempty"`
	QoS     int    `json:"qos"`
}

// jsAnswer is what came of it.
type jsAnswer struct {
	Published, Granted, Received string // topics
	Payload                      string
	QoS                          int
	Error                        string
	Code                         any // a reason code of MQTT, or a word of Node's
}

// jsDevice is a running MQTT.js.
type jsDevice struct {
	cmd     *exec.Cmd
	answers *bufio.Scanner
	said    strings.Builder // on standard error
}

func (m *mqttMesh) mqttjs(t *testing.T, url, cert string, version int, steps ...jsStep) *jsDevice {
	t.Helper()
	task, err := json.Marshal(map[string]any{
		"url": url, "steps": steps,
		"options": map[string]any{"protocolVersion": version, "clientId": "mqttjs"},
		"files":   map[string]string{"ca": m.CAFile(), "cert": filepath.Join(m.dir, cert+".pem"), "key": filepath.Join(m.dir, cert+".key")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	d := &jsDevice{cmd: exec.CommandContext(ctx, mesh.Tool(t, "node", "nodejs"), "mqttjs/client.cjs", string(task))}
	d.cmd.Env = append(os.Environ(), "NODE_PATH="+mqttjsModules(t))
	d.cmd.Stderr = &d.said
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = d.cmd.Wait()
	})
	d.answers = bufio.NewScanner(out)
	return d
}

// next is the answer to the next step.
func (d *jsDevice) next(t *testing.T) (a jsAnswer) {
	t.Helper()
	if !d.answers.Scan() {
		_ = d.cmd.Wait()
		t.Fatalf("MQTT.js ended: %s: %s", d.cmd.ProcessState, d.said.String())
	}
	if err := json.Unmarshal(d.answers.Bytes(), &a); err != nil {
		t.Fatalf("%q: %v", d.answers.Text(), err)
	}
	return a
}

func (d *jsDevice) want(t *testing.T, want jsAnswer) {
	t.Helper()
	if got := d.next(t); got != want {
		t.Errorf("MQTT.js says %+v, want %+v", got, want)
	}
}

// jsVersions are protocol versions as MQTT.js counts them, and how each is told
// that a topic is another's.
var jsVersions = map[string]struct {
	level              int
	subscribe, publish jsAnswer
}{
	"3.1.1": {4, jsAnswer{Error: "Subscribe error: Unspecified error"}, jsAnswer{Error: "closed"}},
	"5.0":   {5, jsAnswer{Error: "Subscribe error: Not authorized"}, jsAnswer{Error: "Publish error: Not authorized", Code: 135.}},
}

// MQTT.js is what pages and most programs in JavaScript speak MQTT by.
func TestMQTTjs(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh and clients")
	}
	mqttjsModules(t)
	m := newMQTTMesh(t)
	for name, url := range map[string]string{"TLS": "mqtts://" + m.edge(0), "WebSocket": "wss://" + m.edge(0) + "/mqtt"} {
		for version := range jsVersions {
			t.Run(name+" "+version, func(t *testing.T) { m.mqttjsSpeaks(t, url, version) })
			t.Run(name+" "+version+" on another's topics", func(t *testing.T) { m.mqttjsIsRefused(t, name+version, url, version) })
		}
		t.Run(name+" with a stranger's certificate", func(t *testing.T) { m.mqttjsIsStrange(t, url) })
	}
}

func (m *mqttMesh) mqttjsSpeaks(t *testing.T, url, version string) {
	mine := func(qos int) jsStep { return jsStep{"publish", "devices/d1/js", fmt.Sprint(t.Name(), qos), qos} }
	d := m.mqttjs(t, url, "device", jsVersions[version].level, mine(0), mine(1), mine(2),
		jsStep{Do: "subscribe", Topic: "commands/d1/#", QoS: 1}, jsStep{Do: "receive"})
	for qos := range 3 {
		d.want(t, jsAnswer{Published: "devices/d1/js"})
		came := func() bool { return m.box.count(withBody(mine(qos).Payload)) == 1 }
		if qos == 0 { // sent, and no more
			awaitCount(t, "at QoS 0", came)
		}
		if !came() {
			t.Errorf("acknowledged at QoS %d, and not at the service once", qos)
		}
	}
	d.want(t, jsAnswer{Granted: "commands/d1/#", QoS: 1})
	m.commandReaches(t, t.Name(), "delivered")
	d.want(t, jsAnswer{Received: "commands/d1/do", Payload: t.Name(), QoS: 1})
}

// Each has a device of its own: 3.1.1 has no word for a refusal, and who was
// refused is not let in again at once.
func (m *mqttMesh) mqttjsIsRefused(t *testing.T, name, url, version string) {
	other := "other-" + name
	issued, err := m.Authority().IssueDevice(other, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m.keep(t, other, issued)
	told := jsVersions[version]
	d := m.mqttjs(t, url, other, told.level, jsStep{Do: "subscribe", Topic: "commands/d1/#", QoS: 1}, jsStep{"publish", "devices/d1/js", "never", 1})
	d.want(t, told.subscribe)
	d.want(t, told.publish)
	if n := m.box.count(withBody("never")); n != 0 {
		t.Errorf("%d reached the service", n)
	}
}

func (m *mqttMesh) mqttjsIsStrange(t *testing.T, url string) {
	m.keepStranger(t)
	d := m.mqttjs(t, url, "stranger", jsVersions["5.0"].level, jsStep{"publish", "devices/d1/js", "strange", 1})
	if a := d.next(t); !strings.Contains(a.Error, "unknown ca") {
		t.Errorf("the stranger's client says %+v", a)
	}
	if n := m.box.count(withBody("strange")); n != 0 {
		t.Errorf("%d reached the service", n)
	}
}

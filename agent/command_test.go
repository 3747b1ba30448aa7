package agent_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/policy"
)

const commandPolicy = `
service "svc" {}
route "all" {
  forward { service = "svc" }
}
access "devices" {
  allow {
    publish   = ["up/${device.id}/#"]
    subscribe = ["commands/${device.id}/#"]
  }
}
access "services" {
  services = ["*"]
  allow { command = ["commands/${device.id}/#"] }
}
`

// commander posts commands to the egress of an agent.
type commander struct {
	t     *testing.T
	mesh  *dev.Mesh
	agent *dev.Agent
}

type commandAnswer struct {
	State, ID, Agent, Region, Reason, Detail string
	status                                   int
}

// post sends a command, again while it is told to come back later: on a busy
// machine tunnels may not be up yet.
func (c commander) post(path, payload string, key ...string) (answer commandAnswer) {
	c.t.Helper()
	if len(key) == 0 {
		key = []string{rand.Text()}
	}
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if answer = c.postOnce(path, payload, key[0]); answer.status != http.StatusServiceUnavailable {
			break
		}
	}
	return answer
}

func (c commander) postOnce(path, payload, key string) (answer commandAnswer) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+c.agent.EgressAddr()+path, strings.NewReader(payload))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Proxy-Authorization", "Bearer "+c.mesh.Token())
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer.status = resp.StatusCode
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// listener is a device that takes commands, whatever it speaks.
type listener struct {
	mu     sync.Mutex
	got    []string      // payloads
	ended  chan struct{} // the connection is over
	code   byte          // of MQTT, why
	server string        // where to go instead
	end    func()
}

func (l *listener) take(payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, payload)
}

func (l *listener) payloads() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.got, ",")
}

func (l *listener) setLastWord(server string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
}

func (l *listener) lastWord() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server
}

func (l *listener) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func deviceTLS(t *testing.T, m *dev.Mesh, id string) *tls.Config {
	t.Helper()
	issued, err := m.Authority().IssueDevice(id, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conf := m.TLS()
	conf.Certificates = []tls.Certificate{cert}
	return conf
}

// listenMQTT connects Eclipse's client with a session that stays.
func listenMQTT(t *testing.T, m *dev.Mesh, a *dev.Agent, device string) *listener {
	t.Helper()
	conf := deviceTLS(t, m, device)
	conf.NextProtos = []string{"mqtt"}
	conn, err := tls.Dial("tcp", a.EdgeAddr(), conf)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{ended: make(chan struct{})}
	over := sync.OnceFunc(func() { close(l.ended) })
	client := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			l.take(string(p.Packet.Payload))
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) {
			if l.code = d.ReasonCode; d.Properties != nil {
				l.server = d.Properties.ServerReference
			}
			over()
		},
		OnClientError: func(error) { over() },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	expiry := uint32(600)
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: "c", KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "commands/" + device + "/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	l.end = func() { _ = conn.Close(); <-client.Done() }
	t.Cleanup(l.end)
	return l
}

// listenHTTP holds a stream of events and acknowledges what comes.
func listenHTTP(t *testing.T, m *dev.Mesh, a *dev.Agent, device string) *listener {
	t.Helper()
	c := deviceAtAgent(t, m, a)
	c.h3.TLSClientConfig = deviceTLS(t, m, device)
	ctx, cancel := context.WithCancel(t.Context())
	req := c.request("GET", "/.tidegate/messages?filter="+url.QueryEscape("commands/"+device+"/#"), nil).WithContext(ctx)
	resp, err := c.h3.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("listen: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	l := &listener{ended: make(chan struct{}), end: cancel}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(l.ended)
		l.readEvents(c, resp.Body)
	})
	t.Cleanup(func() { cancel(); reading.Wait() })
	return l
}

func (l *listener) readEvents(c *client, stream io.ReadCloser) {
	defer stream.Close()
	id := ""
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = rest
		}
		raw, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var data struct {
			Topic, Server string
			Payload       []byte
		}
		if json.Unmarshal([]byte(raw), &data) != nil {
			continue
		}
		if data.Topic == "" {
			l.setLastWord(data.Server)
			continue
		}
		l.take(string(data.Payload))
		if resp, err := c.h3.RoundTrip(c.request("POST", "/.tidegate/messages/"+url.PathEscape(id), nil)); err == nil {
			_ = resp.Body.Close()
		}
	}
}

// homedAt is an id whose home is the second of three agents.
func homedAt(first, home, third *dev.Agent) string {
	for i := 0; ; i++ {
		id := fmt.Sprint("d", i)
		if policy.DeviceHome(id, []string{first.Name, home.Name, third.Name}) == home.Name {
			return id
		}
	}
}

func agentOf(m *dev.Mesh, region, i int) *dev.Agent { return m.Regions[region].Agents[i] }

func TestACommandReachesItsDeviceFromAnyAgentOfAnyRegion(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 3, Policy: []byte(commandPolicy)}, nil)
	for _, listen := range []struct {
		name string
		open func(*testing.T, *dev.Mesh, *dev.Agent, string) *listener
	}{{"mqtt", listenMQTT}, {"http", listenHTTP}} {
		at := agentOf(m, 0, 1)
		device := listen.name + "-1"
		l := listen.open(t, m, at, device)
		var want []string
		for region := range m.Regions {
			for i, from := range m.Regions[region].Agents {
				payload := fmt.Sprint(region, i)
				want = append(want, payload)
				got := commander{t, m, from}.post("/devices/"+device+"/messages/commands/"+device+"/do", payload)
				if got.status != http.StatusOK || got.State != "delivered" || got.Agent != at.Name || got.Region != m.Regions[0].Name {
					t.Errorf("%s, from %s: %+v", listen.name, from.Name, got)
				}
			}
		}
		if l.payloads() != strings.Join(want, ",") {
			t.Errorf("%s: the device got %s", listen.name, l.payloads())
		}
		for path, status := range map[string]int{
			"/devices/" + device + "/messages/commands/other/do":           http.StatusForbidden,
			"/devices/nobody/messages/commands/nobody/do":                  http.StatusNotFound,
			"/devices/" + device + "/messages/":                            http.StatusBadRequest,
			"/devices/" + device + "/messages/commands/%2B":                http.StatusBadRequest,
			"/devices/" + device + "/messages/commands/x?wait=x":           http.StatusBadRequest,
			"/devices/" + device + "/messages/commands/x?expiry=9999h":     http.StatusBadRequest,
			"/devices/" + device + "/elsewhere":                            http.StatusBadRequest,
			"/devices/" + device + "/messages/commands/" + device + "?x=y": http.StatusOK, // "a/#" names "a"
		} {
			if got := (commander{t, m, agentOf(m, 1, 0)}).post(path, "x"); got.status != status {
				t.Errorf("%s %s: %+v, want %d", listen.name, path, got, status)
			}
		}
	}
}

func TestTheSameCommandIsNotDeliveredTwice(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1, Policy: []byte(commandPolicy)}, nil)
	c := commander{t, m, agentOf(m, 0, 0)}
	l := listenMQTT(t, m, agentOf(m, 0, 0), "d")
	l.end()
	for range 2 {
		if got := c.post("/devices/d/messages/commands/d/do", "once", `"key-1"`); got.status != http.StatusAccepted || got.State != "pending" || got.ID != "key-1" {
			t.Fatalf("%+v", got)
		}
	}
	back := listenMQTT(t, m, agentOf(m, 0, 0), "d")
	eventually(t, "the command", func() bool { return back.payloads() != "" })
	if got := c.post("/devices/d/messages/commands/d/do", "then"); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	if back.payloads() != "once,then" {
		t.Errorf("the device got %s", back.payloads())
	}
}

// Promise: within a region the latest connection has the session, whichever agent
// it came to; what waited at the other agent follows.
func TestTheLatestConnectionOfARegionTakesTheSessionOver(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 3, Policy: []byte(commandPolicy)}, nil)
	c := commander{t, m, agentOf(m, 0, 2)}
	first := listenMQTT(t, m, agentOf(m, 0, 0), "d")
	second := listenMQTT(t, m, agentOf(m, 0, 1), "d")
	eventually(t, "the first connection is told", first.over)
	if first.code != 0x8E {
		t.Errorf("DISCONNECT %#x", first.code)
	}
	if got := c.post("/devices/d/messages/commands/d/do", "a"); got.State != "delivered" || got.Agent != agentOf(m, 0, 1).Name {
		t.Errorf("%+v", got)
	}
	second.end()
	eventually(t, "a command waits", func() bool {
		got := c.post("/devices/d/messages/commands/d/do", "waits", "k")
		return got.State == "pending" && got.Agent == agentOf(m, 0, 1).Name
	})
	third := listenMQTT(t, m, agentOf(m, 0, 2), "d")
	eventually(t, "what waited follows", func() bool { return third.payloads() == "waits" })
}

// Promise: the death of a device's home loses nothing but the time until another
// agent is its home.
func TestDevicesAreFoundWhenTheirHomeDied(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 3, Policy: []byte(commandPolicy)}, nil)
	at := agentOf(m, 0, 0)
	device := homedAt(at, agentOf(m, 0, 1), agentOf(m, 0, 2))
	l := listenMQTT(t, m, at, device)
	path := "/devices/" + device + "/messages/commands/" + device + "/do"
	if got := (commander{t, m, agentOf(m, 1, 0)}).post(path, "before"); got.State != "delivered" {
		t.Fatalf("%+v", got)
	}
	if err := m.Crash(agentOf(m, 0, 1).Name); err != nil {
		t.Fatal(err)
	}
	for _, from := range []*dev.Agent{at, agentOf(m, 0, 2), agentOf(m, 1, 0)} {
		if got := (commander{t, m, from}).post(path, "after"); got.State != "delivered" {
			t.Errorf("from %s: %+v", from.Name, got)
		}
	}
	second := listenMQTT(t, m, agentOf(m, 0, 2), device)
	eventually(t, "the new home ends the older session", l.over)
	if second.over() {
		t.Error("the newer session ended too")
	}
}

// Promise: nobody is told that a device is unknown while a region that may have it
// cannot be asked.
func TestADeviceOfARegionThatCannotBeAskedIsNotUnknown(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 2, Agents: 1, Policy: []byte(commandPolicy)}, nil)
	listenMQTT(t, m, agentOf(m, 0, 0), "d")
	c := commander{t, m, agentOf(m, 1, 0)}
	path := "/devices/d/messages/commands/d/do"
	if got := c.post(path, strings.Repeat("x", 300<<10)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %+v", got)
	}
	if got := c.post(path, "x"); got.State != "delivered" {
		t.Fatalf("%+v", got)
	}
	if err := m.Cut(m.Regions[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the region is left out", func() bool {
		for _, r := range agentOf(m, 1, 0).Regions().Regions {
			if r.Name == m.Regions[0].Name {
				return r.State == "down"
			}
		}
		return false
	})
	if got := c.postOnce(path, "x", "k"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.Detail, m.Regions[0].Name) {
		t.Errorf("%+v", got)
	}
	m.Heal(m.Regions[0].Name)
	eventually(t, "the device is found again", func() bool { return c.postOnce(path, "x", "k").State == "delivered" })
}

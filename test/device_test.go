package test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/transport/device"
)

// sdk is the configuration of a device of the mesh, with certificate d1.
func (m *mqttMesh) sdk(protocol device.Protocol) device.Config {
	conf := m.TLS()
	conf.Certificates = m.tls().Certificates
	cfg := device.Config{TLS: conf, Protocol: protocol, Logger: testLogger()}
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			cfg.Endpoints = append(cfg.Endpoints, device.Endpoint{Addr: a.EdgeAddr(), Region: r.Name})
		}
	}
	return cfg
}

func openDevice(t *testing.T, cfg device.Config) *device.Client {
	t.Helper()
	c, err := device.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDevice(t, c) })
	return c
}

func closeDevice(t *testing.T, c *device.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestDevice(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a mesh")
	}
	m := newMQTTMesh(t)
	t.Run("publishes", func(t *testing.T) { m.eachWay(t, m.sdkPublishes) })
	t.Run("listens", func(t *testing.T) { m.eachWay(t, m.sdkListens) })
	t.Run("may not listen", func(t *testing.T) { m.eachWay(t, m.sdkMayNotListen) })
}

func (m *mqttMesh) eachWay(t *testing.T, run func(*testing.T, device.Config)) {
	for _, protocol := range []device.Protocol{device.MQTT, device.HTTP3} {
		for name, noUDP := range map[string]bool{" over QUIC": false, " over TCP": true} {
			t.Run(string(protocol)+name, func(t *testing.T) {
				cfg := m.sdk(protocol)
				cfg.NoUDP = noUDP
				run(t, cfg)
			})
		}
	}
}

// Promise: what was acknowledged reached a service, once where nothing had to be
// sent again, by the device's own id.
func (m *mqttMesh) sdkPublishes(t *testing.T, cfg device.Config) {
	cfg.Outbox = filepath.Join(t.TempDir(), "outbox")
	c := openDevice(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 20 {
		id := fmt.Sprint(t.Name(), i)
		msg := device.Message{ID: id, Topic: "devices/d1/a b/t", Payload: []byte(id), ContentType: "text/plain", Properties: map[string]string{"x-kind": "alarm"}}
		if err := c.Publish(ctx, msg); err != nil {
			t.Fatal(err)
		}
		if n := m.box.count(func(l letter) bool { return l == letter{"devices/d1/a%20b/t", id, "d1", id} }); n != 1 {
			t.Errorf("%s: acknowledged, and %d times there", id, n)
		}
	}
	err := c.Publish(ctx, device.Message{Topic: "devices/d2/t"})
	if !errors.Is(err, device.ErrRefused) {
		t.Errorf("on another's topic: %v", err)
	}
	if !strings.Contains(err.Error(), "access-denied") {
		t.Errorf("the reason is missing: %v", err)
	}
}

// A command reaches the device, whatever it speaks, and the service hears what
// the device said to it; also after the device had to go elsewhere.
func (m *mqttMesh) sdkListens(t *testing.T, cfg device.Config) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan device.Command, 10)
	cfg.Commands = []string{"commands/d1/#"}
	cfg.Handler = func(_ context.Context, c device.Command) error {
		if got <- c; string(c.Payload) == "explode" {
			return errors.New("not in this house")
		}
		return nil
	}
	c := openDevice(t, cfg)
	for payload, want := range map[string]string{"blink": "delivered", "explode": "refused"} {
		answer := m.command(ctx, t, payload)
		for ; answer.word() == "unknown" || answer.word() == "unsubscribed"; answer = m.command(ctx, t, payload) {
			time.Sleep(50 * time.Millisecond) // until the device is known to be there
		}
		if answer.word() != want || want == "refused" && !strings.Contains(answer.Detail, "not in this house") {
			t.Errorf("%s: the service heard %+v", payload, answer)
		}
		select {
		case cmd := <-got:
			if cmd.Topic != "commands/d1/do" || string(cmd.Payload) != payload || cmd.ID == "" {
				t.Errorf("the device got %+v", cmd)
			}
		case <-ctx.Done():
			t.Fatalf("%s: the device got nothing", payload)
		}
	}
	if s := c.State(); s.Err != nil {
		t.Errorf("state %+v", s)
	}
}

func (m *mqttMesh) sdkMayNotListen(t *testing.T, cfg device.Config) {
	cfg.Commands = []string{"commands/d2/#"}
	cfg.Handler = func(context.Context, device.Command) error { return nil }
	c := openDevice(t, cfg)
	awaitCount(t, "the refusal", func() bool { return errors.Is(c.State().Err, device.ErrSubscription) })
}

type commandAnswer struct{ State, Reason, Detail string }

func (a commandAnswer) word() string { return cmp.Or(a.State, a.Reason) }

func (m *mqttMesh) command(ctx context.Context, t *testing.T, payload string) commandAnswer {
	t.Helper()
	answer, err := m.postCommand(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// postCommand posts a command for the device to the egress of the second region.
func (m *mqttMesh) postCommand(ctx context.Context, payload string) (answer commandAnswer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.Regions[1].Agents[0].EgressAddr()+"/devices/d1/messages/commands/d1/do", strings.NewReader(payload))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Proxy-Authorization", "Bearer "+m.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	return answer, json.NewDecoder(resp.Body).Decode(&answer)
}

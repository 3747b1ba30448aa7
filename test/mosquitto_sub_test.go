package test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// commandReaches posts a command until the device is known to be there, and
// wants it to fare like that.
func (m *mqttMesh) commandReaches(t *testing.T, payload, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer := m.command(ctx, t, payload)
	for ; answer.Reason == "unknown" || answer.Reason == "unsubscribed"; answer = m.command(ctx, t, payload) {
		time.Sleep(50 * time.Millisecond)
	}
	if answer.word() != want {
		t.Fatalf("%s: the service heard %+v, want %s", payload, answer, want)
	}
}

var mosquittoVersions = []string{"mqttv311", "mqttv5"}

func (m *mqttMesh) mosquittoListens(t *testing.T) {
	for _, version := range mosquittoVersions {
		for qos, state := range map[string]string{"0": "sent", "1": "delivered"} {
			payload := "for " + version + " at " + qos
			out := &strings.Builder{}
			cmd := m.mosquitto(t, "mosquitto_sub", "device", "-V", version, "-q", qos, "-t", "commands/d1/#", "-C", "1", "-F", "%t %p")
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			m.commandReaches(t, payload, state)
			if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != "commands/d1/do "+payload {
				t.Errorf("%s: %v: %s", payload, err, out)
			}
			awaitCount(t, "its session's end", func() bool { return m.command(t.Context(), t, "for nobody").Reason == "unknown" })
		}
	}
}

// A command that is sent while the device is away waits in its session.
func (m *mqttMesh) mosquittoComesBack(t *testing.T) {
	for _, version := range mosquittoVersions {
		session := []string{"-V", version, "-c", "-i", "away", "-q", "1", "-t", "commands/d1/#"}
		if version == "mqttv5" {
			session = append(session, "-x", "60") // how long it is kept; 3.1.1 cannot say
		}
		if out, err := m.mosquitto(t, "mosquitto_sub", "device", append(session, "-E")...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", version, err, out)
		}
		payload := "while away, " + version
		m.commandReaches(t, payload, "pending")
		out, err := m.mosquitto(t, "mosquitto_sub", "device", append(session, "-C", "1")...).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != payload {
			t.Errorf("%s: %v: %s", version, err, out)
		}
	}
}

func (m *mqttMesh) mosquittoMayNotListen(t *testing.T) {
	for _, version := range mosquittoVersions {
		out, err := m.mosquitto(t, "mosquitto_sub", "device", "-V", version, "-q", "1", "-t", "commands/d2/#", "-E").CombinedOutput()
		if !strings.Contains(string(out), "denied") {
			t.Errorf("another's topics, %s: %v: %s", version, err, out)
		}
	}
}

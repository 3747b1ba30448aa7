package test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/transport/device"
)

// sdk is the configuration of a device of the mesh, with certificate d1.
func (m *mqttMesh) sdk(protocol device.Protocol) device.Config {
	conf := m.TLS()
	conf.Certificates = m.tls().Certificates
	cfg := device.Config{TLS: conf, Protocol: protocol}
	for _, r := range m.Regions {
		for _, a := range r.Agents {
			cfg.Endpoints = append(cfg.Endpoints, device.Endpoint{Addr: a.EdgeAddr(), Region: r.Name})
		}
	}
	if os.Getenv("TIDEGATE_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
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
	t.Run("publishes", m.sdkPublishes)
}

func (m *mqttMesh) sdkPublishes(t *testing.T) {
	for _, protocol := range []device.Protocol{device.MQTT} {
		for _, noUDP := range []bool{false, true} {
			t.Run(fmt.Sprint(protocol, " without UDP: ", noUDP), func(t *testing.T) {
				cfg := m.sdk(protocol)
				cfg.NoUDP, cfg.Outbox = noUDP, filepath.Join(t.TempDir(), "outbox")
				c := openDevice(t, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				for i := range 20 {
					body := fmt.Sprint(t.Name(), i)
					if err := c.Publish(ctx, device.Message{ID: body, Topic: "devices/d1/t", Payload: []byte(body)}); err != nil {
						t.Fatal(err)
					}
					if m.box.count(func(l letter) bool { return l.body == body && l.id == body }) != 1 {
						t.Errorf("%s: acknowledged, and not there", body)
					}
				}
				t.Logf("%+v", c.State())
			})
		}
	}
}

var _ = dev.Config{}

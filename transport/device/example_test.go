package device_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/transport/device"
)

const policy = `
service "ledger" {}
route "all" {
  match { path = "/meters/{id}/{rest...}" }
  forward { service = "ledger" }
}
access "meters" {
  allow {
    publish   = ["meters/${device.id}/#"]
    subscribe = ["commands/${device.id}/#"]
  }
}
access "services" {
  services = ["*"]
  allow { command = ["commands/${device.id}/#"] }
}`

// town is two regions to try the examples on: tidegate dev in this process.
func town(ctx context.Context) (*dev.Mesh, device.Config) {
	mesh, err := dev.Start(ctx, dev.Config{Regions: 2, Agents: 1, Policy: []byte(policy), Services: []dev.Service{{Name: "ledger"}}})
	if err != nil {
		log.Fatal(err)
	}
	issued, err := mesh.Authority().IssueDevice("meter-7", nil, time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		log.Fatal(err)
	}
	conf := mesh.TLS()
	conf.Certificates = []tls.Certificate{cert}
	cfg := device.Config{TLS: conf}
	for _, region := range mesh.Regions {
		cfg.Endpoints = append(cfg.Endpoints, device.Endpoint{Addr: region.Agents[0].EdgeAddr(), Region: region.Name})
	}
	return mesh, cfg
}

// A reading that a service has when Publish returns.
func ExampleClient_Publish() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mesh, cfg := town(ctx) // your endpoints, certificate and authorities
	defer mesh.Close()

	client, err := device.Open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)
	err = client.Publish(ctx, device.Message{
		Topic: "meters/meter-7/readings", ContentType: "application/json", Payload: []byte(`{"kwh":1234.5}`),
	})
	fmt.Println("a service has it:", err == nil)
	err = client.Publish(ctx, device.Message{Topic: "meters/meter-8/readings", Payload: []byte(`{"kwh":0}`)})
	fmt.Println(err != nil && strings.Contains(err.Error(), "refused"))
	// Output:
	// a service has it: true
	// true
}

// Readings that are kept in a file until a service has them, whatever happens to
// the network or to the device meanwhile.
func ExampleClient_Enqueue() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mesh, cfg := town(ctx)
	defer mesh.Close()
	dir, err := os.MkdirTemp("", "meter")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	cfg.Outbox = filepath.Join(dir, "outbox.db")
	offline := cfg
	offline.Endpoints = []device.Endpoint{{Addr: "127.0.0.1:1"}} // nobody is there
	client, err := device.Open(offline)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		if _, err := client.Enqueue(device.Message{ID: fmt.Sprint("reading-", i), Topic: "meters/meter-7/readings"}); err != nil {
			log.Fatal(err)
		}
	}
	soon, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	_ = client.Close(soon) // the device reboots
	stop()

	cfg.Settled = func(m device.Message, err error) { fmt.Println(m.ID, err) }
	client, err = device.Open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Flush(ctx))
	_ = client.Close(ctx)
	// Output:
	// reading-0 <nil>
	// reading-1 <nil>
	// reading-2 <nil>
	// <nil>
}

// Commands of a service, over HTTP/3.
func ExampleConfig_commands() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mesh, cfg := town(ctx)
	defer mesh.Close()

	done := make(chan string, 1)
	cfg.Protocol = device.HTTP3
	cfg.Commands = []string{"commands/meter-7/#"}
	cfg.Handler = func(_ context.Context, c device.Command) error {
		done <- c.Topic + ": " + string(c.Payload)
		return nil // the service hears that it was done
	}
	client, err := device.Open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)
	for ctx.Err() == nil && !send(ctx, mesh, "open") {
		time.Sleep(50 * time.Millisecond) // until the device is there
	}
	fmt.Println(<-done)
	// Output: commands/meter-7/valve: open
}

// send is what a service does, at any agent's egress.
func send(ctx context.Context, mesh *dev.Mesh, payload string) bool {
	url := "http://" + mesh.Regions[1].Agents[0].EgressAddr() + "/devices/meter-7/messages/commands/meter-7/valve"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(payload))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Proxy-Authorization", "Bearer "+mesh.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

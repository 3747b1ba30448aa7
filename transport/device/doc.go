// Package device is what runs on a device: it keeps a connection to the nearest
// region that answers, publishes messages that survive the loss of a region and
// a reboot, and takes commands.
//
//	client, err := device.Open(device.Config{
//		Endpoints: []device.Endpoint{
//			{Addr: "eu.example.com:7443", Region: "eu-west"},
//			{Addr: "us.example.com:7443", Region: "us-east"},
//		},
//		TLS:    &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots},
//		Outbox: "/var/lib/meter/outbox.db",
//	})
//	...
//	err = client.Publish(ctx, device.Message{Topic: "v1/devices/d1/alarms", Payload: reading})
//
// A message is kept in the outbox before it is first sent, and leaves it when a
// service has it, when it never will, or when it expires. Until then it is sent
// again and again, always with the same id, to whatever region answers.
//
// The package talks MQTT 5 or HTTP/3, both over QUIC, and MQTT or HTTP/2 over
// TLS where UDP is blocked. It imports nothing else of this repository.
package device

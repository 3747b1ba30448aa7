package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/transport/device"
)

func newDevice() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "Publish and take commands as a device does",
		Long: "These commands use the SDK that is there for devices (transport/device): they connect to the\n" +
			"nearest endpoint that answers, and go elsewhere when it is lost.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("say what to do: tidegate device publish|listen") },
	}
	cmd.AddCommand(newDevicePublish(), newDeviceListen())
	return cmd
}

// deviceFlags say who the device is and where it may connect.
type deviceFlags struct {
	servers                   []string
	trust                     edgeFlags
	token, username, password string
	protocol, outbox, client  string
	noUDP, json, verbose      bool
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.servers, "server", nil, "where agents take devices, `[REGION=]host:port`; repeatable, or separated by commas")
	f.trust.add(cmd)
	flags.StringVar(&f.token, "token", "", "`token` (JWT) to show; $TIDEGATE_DEVICE_TOKEN keeps it off the process list")
	flags.StringVar(&f.username, "username", "", "user `name` to show")
	flags.StringVar(&f.password, "password", "", "its `password`; $TIDEGATE_DEVICE_PASSWORD keeps it off the process list")
	flags.StringVar(&f.protocol, "protocol", string(device.MQTT), "`mqtt` or http3")
	flags.StringVar(&f.client, "client-id", "", "MQTT's client `identifier`; default: random, or that of the outbox")
	flags.StringVar(&f.outbox, "outbox", "", "`file` that keeps messages until a service has them; default: memory")
	flags.BoolVar(&f.noUDP, "no-udp", false, "use TCP, without trying QUIC first")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "tell of connections on standard error")
	jsonFlag(cmd, &f.json)
}

func (f *deviceFlags) config(stderr io.Writer) (device.Config, error) {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	cfg := device.Config{
		Protocol: device.Protocol(f.protocol), ClientID: f.client, Outbox: f.outbox, NoUDP: f.noUDP,
		Credentials: device.Credentials{
			Username: f.username,
			Password: firstOf(f.password, os.Getenv("TIDEGATE_DEVICE_PASSWORD")),
			Token:    firstOf(f.token, os.Getenv("TIDEGATE_DEVICE_TOKEN")),
		},
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	}
	if len(f.servers) == 0 {
		return cfg, usagef("say where to connect: --server host:port")
	}
	for _, s := range f.servers {
		region, addr, named := strings.Cut(s, "=")
		if !named {
			region, addr = "", s
		}
		cfg.Endpoints = append(cfg.Endpoints, device.Endpoint{Addr: addr, Region: region})
	}
	trust, identity, err := f.trust.load()
	if err != nil {
		return cfg, err
	}
	if identity != nil {
		pair, err := identity(0)
		if err != nil {
			return cfg, err
		}
		trust.Certificates = append(trust.Certificates, pair)
	}
	cfg.TLS = trust
	return cfg, nil
}

// usageOf makes what the person got wrong a usage error.
func usageOf(err error) error {
	if errors.Is(err, device.ErrConfig) || errors.Is(err, device.ErrInvalid) {
		return usageError{err}
	}
	return err
}

// publishFlags are what `tidegate device publish` is told.
type publishFlags struct {
	deviceFlags
	file, id, contentType string
	properties            map[string]string
	timeout               time.Duration
}

func newDevicePublish() *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish TOPIC [PAYLOAD | -]",
		Short: "Publish a message and wait until a service has it",
		Long: "Ends with 0 when a service has the message, with 1 when none will, or did not in time. With an\n" +
			"outbox the message then waits in its file for the next publish or listen that uses it.",
		Example: "  tidegate device publish v1/devices/d1/alarms '{\"celsius\":93}' --server eu=eu.example.com:7443,us=us.example.com:7443 \\\n" +
			"    --cert d1.pem --key d1.key",
		Args: cobra.RangeArgs(1, 2),
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "`file` that holds the payload")
	flags.StringVar(&f.id, "id", "", "the message's own `id`; default: random")
	flags.StringVar(&f.contentType, "content-type", "", "of the payload, such as application/json")
	flags.StringToStringVar(&f.properties, "property", nil, "user property `name=value`; repeatable")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for the service")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		payload, err := f.payload(cmd, args[1:])
		if err != nil {
			return err
		}
		return f.publish(cmd, device.Message{ID: f.id, Topic: args[0], ContentType: f.contentType, Payload: payload, Properties: f.properties})
	}
	return cmd
}

func (f *publishFlags) payload(cmd *cobra.Command, args []string) ([]byte, error) {
	switch {
	case f.file != "" && len(args) > 0:
		return nil, usagef("give the payload, or a file that holds it")
	case f.file != "":
		return readSource(f.file)
	case len(args) == 0:
		return nil, nil
	case args[0] == "-":
		return io.ReadAll(cmd.InOrStdin())
	}
	return []byte(args[0]), nil
}

// published is what `device publish --json` prints.
type published struct {
	ID       string  `json:"id"`
	Topic    string  `json:"topic"`
	Endpoint string  `json:"endpoint"`
	Region   string  `json:"region,omitempty"`
	Wire     string  `json:"wire"`
	TookMS   float64 `json:"took_ms"`
}

func (f *publishFlags) publish(cmd *cobra.Command, m device.Message) (err error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	cfg, err := f.config(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	named := make(chan string, 1)
	cfg.Settled = func(settled device.Message, err error) {
		if settled.ID == m.ID || m.ID == "" && settled.Topic == m.Topic {
			select {
			case named <- settled.ID:
			default:
			}
		}
	}
	client, err := device.Open(cfg)
	if err != nil {
		return usageOf(err)
	}
	start := time.Now()
	err = client.Publish(ctx, m)
	took, at := time.Since(start), client.State()
	closing := client.Close(ctx)
	if err != nil {
		return usageOf(err)
	}
	if closing != nil {
		return closing
	}
	done := published{<-named, m.Topic, at.Endpoint.Addr, at.Endpoint.Region, at.Wire, float64(took.Microseconds()) / 1000}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "a service has %s, by %s over %s, after %.1f ms\n", printable(done.ID), printable(done.Endpoint), done.Wire, done.TookMS)
	return err
}

// listenFlags are what `tidegate device listen` is told.
type listenFlags struct {
	deviceFlags
	count    int
	duration time.Duration
}

func newDeviceListen() *cobra.Command {
	var f listenFlags
	cmd := &cobra.Command{
		Use:   "listen FILTER...",
		Short: "Take commands to a device and print them",
		Long: "Prints a line for each command, its topic and its payload, and acknowledges it. Ends with 0 when\n" +
			"interrupted, after --for or --count; with 1 when the commands are not offered to this device.",
		Example: "  tidegate device listen 'commands/d1/#' --server eu.example.com:7443 --cert d1.pem --key d1.key",
		Args:    cobra.MinimumNArgs(1),
	}
	f.add(cmd)
	cmd.Flags().IntVar(&f.count, "count", 0, "end after so many commands; 0: never")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "end after a time; 0: never")
	cmd.RunE = func(cmd *cobra.Command, filters []string) error { return f.listen(cmd, filters) }
	return cmd
}

func (f *listenFlags) listen(cmd *cobra.Command, filters []string) error {
	cfg, err := f.config(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	left := f.count
	cfg.Commands = filters
	cfg.Handler = func(_ context.Context, c device.Command) error {
		if err := f.print(cmd.OutOrStdout(), c); err != nil {
			cancel(err)
			return err
		}
		if left--; left == 0 {
			time.AfterFunc(acknowledgeTime, func() { cancel(nil) })
		}
		return nil
	}
	cfg.OnState = func(s device.State) {
		if errors.Is(s.Err, device.ErrSubscription) {
			cancel(s.Err)
		}
	}
	client, err := device.Open(cfg)
	if err != nil {
		return usageOf(err)
	}
	var over <-chan time.Time
	if f.duration > 0 {
		over = time.After(f.duration)
	}
	select {
	case <-ctx.Done():
	case <-over:
	}
	closing, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err = client.Close(closing)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// acknowledgeTime is for the last command's acknowledgement to leave.
const acknowledgeTime = 200 * time.Millisecond

// arrived is what `device listen --json` prints.
type arrived struct {
	ID          string            `json:"id,omitempty"`
	Topic       string            `json:"topic"`
	ContentType string            `json:"content_type,omitempty"`
	Payload     string            `json:"payload"`
	Base64      []byte            `json:"payload_base64,omitempty"` // instead, where it is no text
	Properties  map[string]string `json:"properties,omitempty"`
}

func (f *listenFlags) print(out io.Writer, c device.Command) error {
	if !f.json {
		_, err := fmt.Fprintf(out, "%s %s\n", printable(c.Topic), printable(string(c.Payload)))
		return err
	}
	a := arrived{ID: c.ID, Topic: c.Topic, ContentType: c.ContentType, Payload: string(c.Payload), Properties: c.Properties}
	if !utf8.Valid(c.Payload) {
		a.Payload, a.Base64 = "", c.Payload
	}
	return json.NewEncoder(out).Encode(a)
}

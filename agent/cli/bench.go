package cli

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// benchFlags are what `tidegate bench` is told.
type benchFlags struct {
	edges    []string
	paths    map[string]string
	mix      string
	trust    edgeFlags
	method   string
	body     int
	json     bool
	duration time.Duration
	rate     float64
	devices  int
	timeout  time.Duration
	deadline time.Duration
	step     []string
	retry    load.Retry
	mqtt     string
	idle     int
	storm    []string
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench --edge HOST:PORT [--edge ...]",
		Short: "Put open-loop device load on edges over HTTP/3 or MQTT",
		Long: "Sends requests on schedule whatever the answers are, so that slowness shows as latency and\n" +
			"not as fewer requests, and says so when it could not keep its schedule.",
		Example: "  tidegate bench --edge localhost:7443 --ca ca.pem --rate 500 --for 30s --mix critical=20,normal=60,bulk=20",
		Args:    cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.edges, "edge", nil, "edge to connect to, `[REGION=]host:port`; repeatable")
	flags.StringToStringVar(&f.paths, "path", nil, "path a class, `class=/path`; {device} stands for the device's id")
	flags.StringVar(&f.mix, "mix", "critical=20,high=10,normal=50,bulk=20", "share of each class")
	f.trust.add(cmd)
	flags.StringVar(&f.method, "method", "POST", "method of every request")
	flags.IntVar(&f.body, "body", 200, "bytes of body a request")
	flags.IntVar(&f.devices, "devices", 50, "devices, one connection each")
	flags.Float64Var(&f.rate, "rate", 100, "requests a second, all devices together")
	flags.DurationVar(&f.duration, "for", 10*time.Second, "how long")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "of one request")
	flags.DurationVar(&f.deadline, "deadline", 0, "Request-Timeout that every request tells; 0: none")
	flags.StringArrayVar(&f.step, "step", nil, "more load from a time on: `AT=RATE` or AT..UNTIL=RATE, e.g. 5s..8s=300; repeatable")
	flags.IntVar(&f.retry.Attempts, "attempts", 1, "how often a device sends in all what is answered 503 or 429")
	flags.BoolVar(&f.retry.Hasty, "hasty", false, "devices send again after 100 ms whatever Retry-After says")
	flags.StringVar(&f.mqtt, "mqtt", "", "publish over MQTT 5 at QoS 1, on `quic` or tls; the path is the topic")
	flags.IntVar(&f.idle, "idle", 0, "further devices that connect before and send nothing")
	flags.StringArrayVar(&f.storm, "storm", nil, "all devices lose their connection and come back: at `AT`, or every=T; repeatable")
	jsonFlag(cmd, &f.json)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.mqtt != "" && !cmd.Flags().Changed("mix") {
			f.mix = "critical=20,normal=60,bulk=20" // the path of high is for GET
		}
		cfg, err := f.config()
		if err != nil {
			return err
		}
		report, err := load.Run(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		if f.json {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		}
		report.Print(cmd.OutOrStdout())
		return nil
	}
	return cmd
}

// defaultPaths fit the policy of `tidegate dev`.
var defaultPaths = map[string]string{
	"critical": "/v1/devices/{device}/alarms",
	"high":     "/v1/firmware/{device}.bin",
	"normal":   "/v1/devices/{device}/telemetry",
	"bulk":     "/v1/devices/{device}/logs",
}

func (f *benchFlags) config() (load.Config, error) {
	cfg := load.Config{Devices: f.devices, Rate: f.rate, Duration: f.duration, Timeout: f.timeout, Seed: uint64(time.Now().UnixNano())}
	if len(f.edges) == 0 {
		return cfg, usagef("bench: say where to connect: --edge host:port")
	}
	for _, e := range f.edges {
		region, addr, named := strings.Cut(e, "=")
		if !named {
			region, addr = e, e
		}
		cfg.Edges = append(cfg.Edges, load.Edge{Region: region, Addr: addr})
	}
	cfg.Deadline, cfg.Retry, cfg.Idle = f.deadline, f.retry, f.idle
	var err error
	if cfg.Over, err = f.over(); err != nil {
		return cfg, err
	}
	if cfg.Storms, err = f.storms(); err != nil {
		return cfg, err
	}
	if cfg.Extra, err = f.steps(); err != nil {
		return cfg, err
	}
	if cfg.Kinds, err = f.kinds(); err != nil {
		return cfg, err
	}
	cfg.TLS, cfg.Identity, err = f.trust.load()
	return cfg, err
}

func (f *benchFlags) over() (string, error) {
	switch f.mqtt {
	case "":
		return load.OverHTTP3, nil
	case "quic":
		return load.OverMQTTQUIC, nil
	case "tls":
		return load.OverMQTTTLS, nil
	}
	return "", usagef("bench: --mqtt %q: use quic or tls", f.mqtt)
}

func (f *benchFlags) storms() ([]load.Storm, error) {
	var all []load.Storm
	for _, text := range f.storm {
		span, again := strings.CutPrefix(text, "every=")
		at, err := time.ParseDuration(span)
		if err != nil || at <= 0 {
			return nil, usagef("bench: --storm %q: write AT or every=T, e.g. 5s or every=30s", text)
		}
		s := load.Storm{At: at}
		if again {
			s.Every = at
		}
		all = append(all, s)
	}
	return all, nil
}

func (f *benchFlags) steps() ([]load.Extra, error) {
	var all []load.Extra
	for _, text := range f.step {
		window, rate, _ := strings.Cut(text, "=")
		from, until, ends := strings.Cut(window, "..")
		var e load.Extra
		var errs [3]error
		e.Rate, errs[0] = strconv.ParseFloat(rate, 64)
		e.From, errs[1] = time.ParseDuration(from)
		if ends {
			e.Until, errs[2] = time.ParseDuration(until)
		}
		if errors.Join(errs[:]...) != nil {
			return nil, usagef("bench: --step %q: write AT=RATE or AT..UNTIL=RATE, e.g. 5s..8s=300", text)
		}
		all = append(all, e)
	}
	return all, nil
}

func (f *benchFlags) kinds() ([]load.Kind, error) {
	var all []load.Kind
	for part := range strings.SplitSeq(f.mix, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		class, err := policy.ParseClass(name)
		weight, werr := strconv.Atoi(text)
		if err != nil || werr != nil || weight < 0 {
			return nil, usagef("bench: --mix %q: write class=share, e.g. critical=20", part)
		}
		kind := load.Kind{Name: name, Class: class, Method: f.method, Path: defaultPaths[class.String()], Body: f.body, Weight: weight}
		if path, ok := f.paths[class.String()]; ok {
			kind.Path = path
		} else if class == policy.High {
			kind.Method, kind.Body = "GET", 0
		}
		all = append(all, kind)
	}
	return all, nil
}

package catalog

// StaticConfig is the block `static` of the agent's configuration:
//
//	static {
//	  service "alarms" {
//	    instance { address = "127.0.0.1:9001" tags = ["canary"] }
//	    check    { path = "/health" interval = "5s" }
//	  }
//	}
type StaticConfig struct {
	Services []StaticService `hcl:"service,block"`
}

// StaticService is one service and its instances.
type StaticService struct {
	Name      string           `hcl:"name,label"`
	Instances []StaticInstance `hcl:"instance,block"`
	Check     *StaticCheck     `hcl:"check,block"` // nil: every instance is always ready
}

// StaticInstance is one address of a service.
type StaticInstance struct {
	ID      string            `hcl:"id,optional"` // unique in the service; default: the address
	Address string            `hcl:"address"`     // "host:port"
	Tags    []string          `hcl:"tags,optional"`
	Meta    map[string]string `hcl:"meta,optional"`
}

// StaticCheck is the HTTP health check of each instance of a service: GET path,
// 2xx within the timeout passes, anything else (redirects too) fails. The first
// answer decides at once; after it the thresholds count.
type StaticCheck struct {
	Path      string `hcl:"path"`               // begins with "/"
	Interval  string `hcl:"interval,optional"`  // default 5s, at least 10ms
	Timeout   string `hcl:"timeout,optional"`   // default 1s
	Healthy   int    `hcl:"healthy,optional"`   // passes in a row until ready; default 2
	Unhealthy int    `hcl:"unhealthy,optional"` // failures in a row until critical; default 3
}

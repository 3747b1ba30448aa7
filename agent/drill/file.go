// Package drill rehearses failures: a file states a hypothesis, a load, faults
// on a time line and the invariants that must hold; running it gives a verdict
// for each invariant with the value that was measured.
package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Drill is a checked drill file.
type Drill struct {
	Name       string
	Hypothesis string
	Duration   time.Duration // of the load
	Mesh       Mesh
	Load       Load
	Steps      []Step
	Invariants []Invariant
}

// Mesh is the development mesh that the drill starts for itself.
type Mesh struct {
	Regions  int       `hcl:"regions,optional"`
	Agents   int       `hcl:"agents,optional"`
	Policy   string    `hcl:"policy,optional"` // file, relative to the drill's; default: that of `tidegate dev`
	Services []Service `hcl:"service,block"`

	policy []byte
}

// Service is a sample service of the mesh.
type Service struct {
	Name      string   `hcl:"name,label"`
	Regions   []string `hcl:"regions,optional"` // empty: everywhere
	Instances int      `hcl:"instances,optional"`
}

// Load is what the devices send.
type Load struct {
	Rate    float64 `hcl:"rate"`
	Devices int     `hcl:"devices"`
	Kinds   []Kind  `hcl:"kind,block"`

	kinds []load.Kind
}

// Kind is one sort of message.
type Kind struct {
	Name   string `hcl:"name,label"`
	Class  string `hcl:"class"`
	Method string `hcl:"method,optional"`
	Path   string `hcl:"path"`
	Body   int    `hcl:"body,optional"`
	Weight int    `hcl:"weight"`
}

// Step is one event of the time line: a fault that begins At and, unless For
// is zero, ends For later.
type Step struct {
	Name  string
	At    time.Duration
	For   time.Duration
	Fault Fault
}

type drillFile struct {
	Drill drillBlock `hcl:"drill,block"`
}

type drillBlock struct {
	Name       string      `hcl:"name,label"`
	Hypothesis string      `hcl:"hypothesis"`
	Duration   string      `hcl:"duration"`
	Mesh       *Mesh       `hcl:"mesh,block"`
	Load       Load        `hcl:"load,block"`
	Steps      []stepBlock `hcl:"step,block"`
	Invariants []invBlock  `hcl:"invariant,block"`
}

type stepBlock struct {
	Name string `hcl:"name,label"`
	At   string `hcl:"at"`
	For  string `hcl:"for,optional"`

	RegionOutage    *regionOutage    `hcl:"region_outage,block"`
	AgentCrash      *agentCrash      `hcl:"agent_crash,block"`
	InstanceFailure *instanceFailure `hcl:"instance_failure,block"`
	Latency         *latency         `hcl:"latency,block"`
	SlowService     *slowService     `hcl:"slow_service,block"`
}

// ErrInvalid is the kind of every fault in a drill file.
var ErrInvalid = fmt.Errorf("drill: %w", policy.ErrInvalid)

// maxFile bounds a drill file, in bytes.
const maxFile = 1 << 20

// Load reads and checks a drill file. Errors are of kind ErrInvalid and name
// file and line.
func ReadFile(path string) (*Drill, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read drill: %w: %w", ErrInvalid, err)
	}
	d, err := Parse(path, src)
	if err != nil {
		return nil, err
	}
	if d.Mesh.Policy != "" {
		file := filepath.Join(filepath.Dir(path), d.Mesh.Policy)
		if d.Mesh.policy, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read drill: policy: %w: %w", ErrInvalid, err)
		}
		if _, err := policy.Parse(policy.File{Name: file, Src: d.Mesh.policy}); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Parse reads and checks the text of a drill; the policy it names is not
// opened.
func Parse(name string, src []byte) (*Drill, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes: at most %d are read", ErrInvalid, name, len(src), maxFile)
	}
	parsed, diags := hclparse.NewParser().ParseHCL(src, name)
	var file drillFile
	if !diags.HasErrors() {
		diags = append(diags, gohcl.DecodeBody(parsed.Body, nil, &file)...)
	}
	if diags.HasErrors() {
		return nil, faults(diags, src)
	}
	d, err := file.Drill.check()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// faults says what HCL found, with the line at fault.
func faults(diags hcl.Diagnostics, src []byte) error {
	text := ""
	for _, d := range diags {
		place := ""
		if d.Subject != nil {
			place = fmt.Sprintf("%s:%d: ", d.Subject.Filename, d.Subject.Start.Line)
			if d.Subject.CanSliceBytes(src) {
				place += fmt.Sprintf("%q: ", d.Subject.SliceBytes(src))
			}
		}
		text += "\n  " + place + d.Summary + ": " + d.Detail
	}
	return fmt.Errorf("%w:%s", ErrInvalid, text)
}

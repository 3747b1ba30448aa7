// Package drill rehearses failures: a file states a hypothesis, a load, faults
// on a time line and the invariants that must hold; running it gives a verdict
// for each invariant with the value that was measured.
package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/dev"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

// Drill is a checked drill file.
type Drill struct {
	Name       string
	Hypothesis string
	Duration   time.Duration // of the load
	Load       load.Config   // rate, devices, kinds and what steps add to it; begins with the warm-up
	Observe    bool          // there is no load: what the mesh's own devices send is observed
	Steady     Steady
	Steps      []Step
	Aborts     []Abort
	Invariants []Invariant

	warmUp   time.Duration // of load before the steady state is measured
	mesh     dev.Config    // of the mesh it starts for itself
	policy   string        // file, relative to the drill's; empty: that of `tidegate dev`
	journals []string      // URLs of those of a running mesh's services
}

// lead is how long the load goes before the time line begins.
func (d *Drill) lead() time.Duration { return d.warmUp + d.Steady.For }

// Step is one event of the time line. It begins At and, unless For is zero, ends
// For later. One of the fields below For says what happens.
type Step struct {
	Name  string
	At    time.Duration
	For   time.Duration
	Fault admin.Fault            // without ID and Seconds; Kind empty: it is none
	Order *admin.OverrideRequest // an operator's word, released at the end
	Load  *load.Extra            // on top of the usual one
	Leave *load.Move             // devices that go elsewhere
}

// maxFile bounds a drill file, in bytes.
const maxFile = 1 << 20

// ReadFile reads and checks a drill file and the policy it names. Errors are
// of kind policy.ErrInvalid and name file and line.
func ReadFile(path string) (*Drill, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read drill: %w: %w", policy.ErrInvalid, err)
	}
	d, err := Parse(path, src)
	if err != nil || d.policy == "" {
		return d, err
	}
	file := filepath.Join(filepath.Dir(path), d.policy)
	if d.mesh.Policy, err = os.ReadFile(file); err != nil {
		return nil, fmt.Errorf("%s: read the policy it names: %w: %w", path, policy.ErrInvalid, err)
	}
	_, err = policy.Parse(policy.File{Name: file, Src: d.mesh.Policy})
	return d, err
}

// Parse reads and checks the text of a drill; the policy it names is not
// opened. Errors are of kind policy.ErrInvalid and name file and line.
func Parse(name string, src []byte) (*Drill, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes: at most %d are read", policy.ErrInvalid, name, len(src), maxFile)
	}
	parsed, diags := hclparse.NewParser().ParseHCL(src, name)
	var file drillFile
	if !diags.HasErrors() {
		diags = append(diags, gohcl.DecodeBody(parsed.Body, nil, &file)...)
	}
	if diags.HasErrors() {
		return nil, source(src).fromHCL(diags)
	}
	return checker{source(src), &Drill{}}.check(&file.Drill)
}

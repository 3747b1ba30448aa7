//go:build !linux

package consultest

import "os/exec"

// dieWithParent has no counterpart here: a killed test leaves its servers.
func dieWithParent(*exec.Cmd) {}

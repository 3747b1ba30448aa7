package mesh

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the child when a test is killed or panics past its clean-up.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

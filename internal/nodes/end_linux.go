package nodes

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the system kill a process when the thread that starts it ends, so that a test which crashes leaves
// no nodes behind.
func dieWithParent(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

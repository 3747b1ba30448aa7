// Command tidegate is a multi-region mesh sidecar agent for IoT cloud edges.
package main

import (
	"os"

	"github.com/tidegate/tidegate/agent/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }

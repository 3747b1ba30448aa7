//go:build linux

// Command regions runs three regions on this machine, joined by an emulated WAN
// (package wan): in each a real Consul server, three agents as processes of
// their own and sample services; and devices that send. docs/regions.md shows
// what to do with it.
//
//	make regions [ARGS="..."]
//	regions [--for 1m] [--at '10s cut eu us'] [--json]     look around, until Ctrl-C
//	regions --drill NAME,... [--short] [--json]            rehearse, and judge
//
// It removes what a crashed run left before it begins. Exit status: 0 good, 1 a
// bar is broken or something failed, 2 usage, 3 no bar is broken but some could
// not be judged.
package main

import "github.com/tidegate/tidegate/test/regions/lab"

func main() { lab.Main() }

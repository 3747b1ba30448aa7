//go:build linux

// Command chaos breaks three regions at random, on the mesh of make regions
// (package lab), within rules that say which promises can be asked for meanwhile
// (package schedule), and judges them. docs/chaos.md shows what to do with it.
//
//	go run ./test/chaos --seed N --for 20m [--log FILE]   a schedule made from a seed
//	go run ./test/chaos --replay FILE                     one that was printed
//	go run ./test/chaos --shrink FILE [--within 30m]      the shortest of it that still fails
//	go run ./test/chaos --false-alarms --for 10m          loss, and agents that lack a CPU
//
// Exit status: 0 good, 1 a bar is broken or something failed, 2 usage, 3 no bar is
// broken but some could not be judged.
package main

import "github.com/tidegate/tidegate/test/regions/lab"

func main() { lab.Chaos() }

// Package cli holds the tidegate commands.
package cli

import "io"

// Main runs the command line and returns the exit status: 0 good, 1 failed,
// 2 usage.
func Main(args []string, stdout, stderr io.Writer) int { return 2 }

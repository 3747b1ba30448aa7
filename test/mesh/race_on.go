//go:build race

package mesh

// raceFlags build the agents as the tests themselves are built.
var raceFlags = []string{"-race"}

//go:build linux

package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// script is what changes when, in the order of time.
type script []step

type step struct {
	at   time.Duration // since the start
	line string        // as wan.Do takes it
}

func (s *script) String() string { return "" }

// Set adds "TIME LINE", for package flag.
func (s *script) Set(text string) error {
	first, line, _ := strings.Cut(strings.TrimSpace(text), " ")
	at, err := time.ParseDuration(first)
	if err != nil || at < 0 || strings.TrimSpace(line) == "" {
		return fmt.Errorf("write a time and a line, as '10s cut eu us'")
	}
	*s = append(*s, step{at, strings.TrimSpace(line)})
	slices.SortStableFunc(*s, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return nil
}

// wait is how long the first step has, very long when there is none.
func (s script) wait(now time.Duration) time.Duration {
	if len(s) == 0 {
		return 24 * time.Hour
	}
	return s[0].at - now
}

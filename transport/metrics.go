package transport

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds collectors to a registry, all of them or none; a nil registry
// takes nothing. For this package and those below it.
func Register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			Unregister(reg, all[:i]...)
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Unregister takes collectors out again.
func Unregister(reg prometheus.Registerer, all ...prometheus.Collector) {
	if reg == nil {
		return
	}
	for _, c := range all {
		reg.Unregister(c)
	}
}

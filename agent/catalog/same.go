package catalog

import (
	"maps"
	"slices"
)

// same says whether two listings of an instance are equal to every reader.
func same(a, b Instance) bool {
	return a.ID == b.ID && a.Service == b.Service && a.Address == b.Address && a.Status == b.Status &&
		slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Meta, b.Meta)
}

func sameServices(a, b map[string][]Instance) bool {
	return maps.EqualFunc(a, b, func(x, y []Instance) bool { return slices.EqualFunc(x, y, same) })
}

package gossip

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

func rankGateways(region string, live []string, k int) []string {
	weight := func(name string) uint64 {
		sum := sha256.Sum256([]byte(region + "/" + name))
		return binary.BigEndian.Uint64(sum[:])
	}
	order := slices.Clone(live)
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b)) })
	return order[:min(k, len(order))]
}

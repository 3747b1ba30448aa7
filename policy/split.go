package policy

import "math/bits"

// pick returns the branch of the split that a message takes, and the bucket
// (0 to 99) that decided.
func (r *Route) pick(device string, rng uint64) (branch, bucket int) {
	if r.Sticky && device != "" {
		rng = deviceHash(device)
	}
	high, _ := bits.Mul64(rng, 100)
	bucket = int(high)
	sum := 0
	for i, f := range r.Forward {
		if sum += f.Weight; bucket < sum {
			return i, bucket
		}
	}
	return len(r.Forward) - 1, bucket
}

// deviceHash is FNV-1a with the finalizer of MurmurHash3 behind it, because the
// high bits of FNV hardly depend on a short key's last bytes. It depends on
// nothing but the id, so that every agent, in every region and after every
// restart, sends a device the same way, and every route with the same weights
// counts the same devices in.
func deviceHash(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

package policy

import "testing"

// Latency that stays while the limit is cut says that the service became slower;
// that it fell says that there was a queue; that it rose says nothing.
func TestOnlyLatencyThatStaysRefutesTheBaseline(t *testing.T) {
	for _, c := range []struct {
		name             string
		before, after    float64 // ratios at 36 and at 24
		refutes          bool
		limit, wantLimit float64
	}{
		{"stays", 1.5, 1.5, true, 24, 36},
		{"stays, but for noise", 1.5, 1.6, true, 24, 36},
		{"falls with the limit", 1.8, 1.2, false, 24, 36},
		{"falls by less", 1.8, 1.6, false, 24, 36},
		{"rises: slots are gone", 1.15, 1.5, false, 24, 36},
		{"the limit was hardly cut", 1.5, 1.5, false, 30, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLimiter(DefaultAdmissionConfig().withDefaults())
			l.limit, l.confirmed = c.limit, c.after
			e := evidence{}
			e.keep(point{limit: 36, latency: c.before})
			limit, refutes := e.refutes(&l, &measurement{}, point{limit: c.limit, latency: c.after})
			if limit != c.wantLimit || refutes != c.refutes {
				t.Errorf("%v, %v; want %v, %v", limit, refutes, c.wantLimit, c.refutes)
			}
		})
	}
}

package policy

import "testing"

// Latency that stays while the limit is cut says that the service became slower;
// that it fell says that there was a queue; that it rose says nothing.
func TestOnlyLatencyThatStaysRefutesTheBaseline(t *testing.T) {
	cut := []float64{36, 30, 26, 22}
	for _, c := range []struct {
		name      string
		limits    []float64
		latencies []float64 // ratios, as the limit falls
		backTo    float64   // 0: does not refute
	}{
		{"stays", cut, []float64{1.5, 1.5, 1.5, 1.5}, 36},
		{"stays, but for noise", cut, []float64{1.5, 1.6, 1.45, 1.55}, 36},
		{"stays, as far as such noise can tell", cut, []float64{1.5, 2, 1.2, 1.7}, 0},
		{"falls with the limit", cut, []float64{1.8, 1.5, 1.3, 1.12}, 0},
		{"was full at first only", []float64{36, 30, 22, 15, 11}, []float64{1.8, 1.5, 1.4, 1.4, 1.4}, 36},
		{"rose before, when the service became slower", []float64{36, 36, 36, 30, 26, 22}, []float64{1.1, 1.1, 1.5, 1.5, 1.5, 1.5}, 36},
		{"rose before, when slots were lost", []float64{36, 36, 36, 30, 26, 22}, []float64{1.1, 1.6, 2.4, 2, 1.75, 1.5}, 0},
		{"rises meanwhile: slots are gone", cut, []float64{1.15, 1.2, 1.35, 1.7}, 0},
		{"the limit was hardly cut", []float64{36, 34, 32, 30}, []float64{1.5, 1.5, 1.5, 1.5}, 0},
		{"the limit rose in between", []float64{36, 24, 26, 24}, []float64{1.5, 1.5, 1.5, 1.5}, 0},
		{"measured too seldom", []float64{36, 24}, []float64{1.5, 1.5}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLimiter(DefaultAdmissionConfig().withDefaults())
			e := evidence{}
			last := len(c.limits) - 1
			for i := range last {
				e.keep(point{limit: c.limits[i], latency: c.latencies[i]})
			}
			l.limit, l.confirmed = c.limits[last], c.latencies[last]
			limit, refutes := e.refutes(&l, &measurement{}, point{limit: l.limit, latency: l.confirmed})
			if refutes != (c.backTo > 0) || (refutes && limit != c.backTo) {
				t.Errorf("%v, %v; want %v", limit, refutes, c.backTo)
			}
		})
	}
}

package policy_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// plotted is a simulation as lines: the limit, and requests a second by what
// became of them, each plotStep.
func (s *oneService) plotted() map[string][]float64 {
	lines := map[string][]float64{}
	add := func(name string, value float64) { lines[name] = append(lines[name], value) }
	for at := time.Duration(0); at+policy.PlotStep <= s.now; at += policy.PlotStep {
		w := s.over(at, at+policy.PlotStep)
		each := policy.PlotStep.Seconds()
		_, limit := s.limits(at, at+policy.PlotStep)
		add("limit", float64(limit))
		add("critical served", float64(w.good[3])/each)
		add("others served", float64(w.allGood()-w.good[3])/each)
		add("others shed", float64(w.shed[0]+w.shed[1]+w.shed[2])/each)
		add("critical shed", float64(w.shed[3])/each)
	}
	return lines
}

func TestSimAdmissionPlots(t *testing.T) {
	served := []string{"critical served", "others served", "others shed", "critical shed"}

	overload := newOneService(21, 1, 8, 10*time.Millisecond)
	for _, factor := range []float64{0.7, 2, 0.7, 4, 0.7} {
		overload.offer(factor)
		overload.run(6 * time.Second)
	}
	policy.KeepPlot(t, "admission-overload", "8 slots of 10 ms; load 0.7, 2, 0.7, 4 and 0.7 times that (req/s)", 2400, served, overload.plotted())

	limit := newOneService(22, 1, 16, 10*time.Millisecond)
	limit.offer(0.7)
	limit.run(5 * time.Second)
	limit.offer(2)
	limit.run(5 * time.Second)
	limit.slots = 8
	limit.run(10 * time.Second)
	limit.slots = 16
	limit.run(10 * time.Second)
	limit.hold = 20 * time.Millisecond
	limit.run(10 * time.Second)
	policy.KeepPlot(t, "admission-limit", "Limit: 16 slots of 10 ms, twice the load from 5 s; 8 slots from 10 to 20 s; 20 ms from 30 s", 40, []string{"limit"}, limit.plotted())
}

package load

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestReportSumsUpByClassAndOutcome(t *testing.T) {
	kinds := []Kind{{Class: policy.Bulk}, {Class: policy.Critical}}
	r := newReport(Config{Rate: 10, Devices: 2, Kinds: kinds})
	for n := 1; n <= 100; n++ { // answers after 1 to 100 ms
		r.add(&Result{Kind: &kinds[1], Status: 204, Latency: time.Duration(n) * time.Millisecond})
	}
	for _, status := range []int{503, 429, 500, 404} {
		r.add(&Result{Kind: &kinds[0], Status: status, Latency: time.Millisecond})
	}
	r.add(&Result{Kind: &kinds[0], Err: errors.New("no answer"), Latency: time.Hour})
	r.add(&Result{Kind: &kinds[0], Status: 200, Err: errors.New("broken off"), Latency: time.Hour})
	r.finish()

	c := r.Classes["critical"]
	if c.Sent != 100 || c.Succeeded != 100 || c.Shed+c.Failed != 0 {
		t.Errorf("critical: %+v", c)
	}
	near := func(got, want float64) bool { return got > 0.998*want && got < 1.002*want }
	if !near(c.P50, 50) || !near(c.P99, 99) || !near(c.P999, 100) {
		t.Errorf("p50 %g, p99 %g, p99.9 %g, want 50, 99, 100 ms", c.P50, c.P99, c.P999)
	}
	b := r.Classes["bulk"]
	if b.Sent != 6 || b.Succeeded != 0 || b.Shed != 2 || b.Failed != 4 {
		t.Errorf("bulk: %+v", b)
	}
	if b.P999 > 1.1 {
		t.Errorf("p99.9 %g ms holds requests without an answer", b.P999)
	}
	if order := r.Order(); !slices.Equal(order, []string{"critical", "bulk"}) {
		t.Errorf("order %v", order)
	}
}

func TestReportSaysThatTheGeneratorWasLate(t *testing.T) {
	for late, onTime := range map[time.Duration]bool{time.Millisecond: true, 9 * time.Millisecond: true, 15 * time.Millisecond: false} {
		r := newReport(Config{Kinds: []Kind{{Class: policy.High}}})
		for n := range 100 {
			if n < 2 {
				r.started(late)
			} else {
				r.started(0)
			}
		}
		r.finish()
		var out strings.Builder
		r.Print(&out)
		if r.OnTime != onTime || strings.Contains(out.String(), "did NOT keep its schedule") == onTime {
			t.Errorf("2%% of starts %s late: on time %v (p99 %g ms), printed\n%s", late, r.OnTime, r.LateP99, &out)
		}
	}
}

func TestReportIsATable(t *testing.T) {
	kinds := []Kind{{Class: policy.Bulk}, {Class: policy.Critical}}
	r := newReport(Config{Rate: 10, Devices: 2, Kinds: kinds})
	for range 3 {
		r.add(&Result{Kind: &kinds[1], Status: 200, Latency: 2 * time.Millisecond})
	}
	r.add(&Result{Kind: &kinds[1], Status: 500, Latency: 2 * time.Millisecond})
	r.finish()
	r.Seconds = 1.5
	var out strings.Builder
	r.Print(&out)
	want := `
1.5 s, 2 devices, 10 requests a second asked for
     class  sent  succeeded  shed  failed  success  p50 ms  p99 ms  p99.9 ms
  critical     4          3     0       1   75.00%     2.0     2.0       2.0
      bulk     0          0     0       0        -       -       -         -
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

func TestReportTellsTenantsApart(t *testing.T) {
	cfg := Config{Kinds: []Kind{{Class: policy.Critical}}, Tenants: []string{"a", "b"}}
	r := newReport(cfg)
	for _, res := range []Result{{Tenant: "a", Status: 200, Attempts: 1}, {Tenant: "b", Status: 503, Attempts: 3}, {Tenant: "b", Status: 500, Attempts: 1}} {
		res.Kind, res.Latency = &cfg.Kinds[0], 2*time.Millisecond
		r.add(&res)
	}
	r.finish()
	b := r.Tenants["b"]["critical"]
	if b.Sent != 2 || b.Succeeded != 0 || b.Shed != 1 || b.Failed != 1 || b.Attempts != 4 || b.P99 < 1.9 {
		t.Errorf("tenant b: %+v", b)
	}
	var out strings.Builder
	r.Print(&out)
	want := `
  tenant     class  sent  succeeded  shed  failed  success  p50 ms  p99 ms  p99.9 ms
       a  critical     1          1     0       0  100.00%     2.0     2.0       2.0
       b  critical     2          0     1       1    0.00%     2.0     2.0       2.0
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("printed\n%s\nwant at its end\n%s", &out, want)
	}
}

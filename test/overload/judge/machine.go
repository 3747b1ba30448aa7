package judge

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	mostBusy = 0.80
	// mostLate is how late the 99th percentile of requests may be sent. It is
	// part of every latency measured.
	mostLate = 5 * time.Millisecond
)

// Times are the machine's CPU times since its start, in ticks.
type Times struct{ busy, all uint64 }

// Now reads the machine's times (proc_stat(5)). Time that a hypervisor took
// counts as busy: it was not there for the run.
func Now() (Times, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Times{}, fmt.Errorf("read how busy the machine is: %w", err)
	}
	return parseTimes(string(raw))
}

func parseTimes(stat string) (t Times, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	const name, user, idle, iowait, steal = 0, 1, 4, 5, 8
	if len(fields) <= steal || fields[name] != "cpu" {
		return t, fmt.Errorf("read how busy the machine is: %q is not the line of all CPUs", line)
	}
	for i := user; i <= steal; i++ {
		ticks, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return t, fmt.Errorf("read how busy the machine is: %w", err)
		}
		t.all += ticks
		if i != idle && i != iowait {
			t.busy += ticks
		}
	}
	return t, nil
}

// Busy is the share of CPU time since then that was used, by anybody.
func (t Times) Busy(since Times) float64 {
	if t.all <= since.all {
		return 0
	}
	return float64(t.busy-since.busy) / float64(t.all-since.all)
}

// Conditions are under which something was measured.
type Conditions struct {
	Busy     float64       // share of the machine's CPUs
	Late     time.Duration // 99th percentile of how late requests were sent
	Overruns int           // requests never sent
}

// Worse joins the conditions of several measurements.
func (c Conditions) Worse(o Conditions) Conditions {
	return Conditions{max(c.Busy, o.Busy), max(c.Late, o.Late), c.Overruns + o.Overruns}
}

// Unfit says why nothing can be judged under them, empty when it can.
func (c Conditions) Unfit() string {
	switch {
	case c.Overruns > 0:
		return fmt.Sprintf("the generator left %d requests out", c.Overruns)
	case c.Late > mostLate:
		return fmt.Sprintf("the generator was %s late (p99)", c.Late.Round(100*time.Microsecond))
	case c.Busy > mostBusy:
		return fmt.Sprintf("the machine was %.0f%% busy", 100*c.Busy)
	}
	return ""
}

func (c Conditions) String() string {
	return fmt.Sprintf("machine %.0f%% busy, generator %.1f ms late (p99)", 100*c.Busy, float64(c.Late.Microseconds())/1000)
}

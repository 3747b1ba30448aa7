package drill

import "slices"

// metric is a way to measure.
type metric struct {
	unit            string
	atLeast, atMost bool     // which bounds it can have
	takes           []string // attributes of an invariant it heeds, beside its bound
	region          bool     // it needs one
	moment          bool     // it needs from
	before          bool     // it needs time before the first step
	live            bool     // it can be measured while the drill goes on
	ledger          bool     // it needs one

	measure  measure // by what the drill's devices were told
	observed measure // by what agents count, where there are no such devices; nil: that cannot be had
}

// measure returns a value, from how many samples it is, and, when there is nothing
// to judge, why.
type measure func(*record, *Invariant) (value float64, samples int, note string)

// defaultReversal is how many points a share must turn to count as one.
const defaultReversal = 10

// narrowing are the attributes that say which requests count; ofDevices those that
// only devices of the drill's own tell.
var (
	narrowing = []string{"from", "until", "edges", "edge", "kinds", "class", "tenant", "samples"}
	ofDevices = []string{"edges", "kinds", "tenant", "within"}
)

func narrowed(more ...string) []string { return slices.Concat(narrowing, more) }

// sliding is the metric over a window that moves: it lies nowhere on the time line.
func sliding(m *metric) *metric {
	s := *m
	s.takes = slices.DeleteFunc(slices.Concat(m.takes, []string{"over"}), func(name string) bool { return name == "from" || name == "until" })
	return &s
}

var metrics = map[string]metric{
	"success":      {unit: "%", atLeast: true, live: true, takes: narrowed("within"), measure: (*record).success, observed: (*record).successSeen},
	"shed":         {unit: "%", atLeast: true, atMost: true, live: true, takes: narrowing, measure: (*record).shed, observed: (*record).shedSeen},
	"failed":       {unit: "requests", atMost: true, live: true, takes: narrowing, measure: (*record).failed, observed: (*record).failedSeen},
	"p99":          {unit: "ms", atMost: true, live: true, takes: narrowing, measure: (*record).p99, observed: (*record).p99Seen},
	"p999":         {unit: "ms", atMost: true, live: true, takes: narrowing, measure: (*record).p999},
	"slowdown":     {unit: "x", atMost: true, takes: narrowed(), before: true, measure: (*record).slowdown},
	"first_shed":   {unit: "s", atMost: true, takes: narrowing, moment: true, measure: (*record).firstShed},
	"return":       {unit: "s", atMost: true, takes: narrowed("region"), region: true, moment: true, before: true, measure: (*record).returned},
	"share":        {unit: "%", atLeast: true, atMost: true, live: true, takes: narrowed("region"), region: true, measure: (*record).share, observed: (*record).shareSeen},
	"swing":        {unit: "points", atMost: true, takes: narrowed("region"), region: true, measure: (*record).swing},
	"jump":         {unit: "points", atMost: true, takes: narrowed("region"), region: true, measure: (*record).jump},
	"reversals":    {unit: "times", atMost: true, takes: narrowed("region", "by"), region: true, measure: (*record).reversals},
	"plan_changes": {unit: "changes", atMost: true, measure: (*record).flaps, observed: (*record).flaps},
	"lost":         {unit: "messages", atMost: true, ledger: true, takes: narrowing, measure: (*record).lost},
	"duplicated":   {unit: "messages", atMost: true, ledger: true, takes: narrowing, measure: (*record).duplicated},
	"reordered":    {unit: "messages", atMost: true, ledger: true, takes: narrowing, measure: (*record).reordered},
	"prometheus": {atLeast: true, atMost: true, live: true, takes: []string{"from", "until", "edge", "series", "labels", "take"},
		measure: (*record).ofSeries, observed: (*record).ofSeries},
}

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

	// measure returns the value, from how many samples it is, and, when there
	// is nothing to judge, why.
	measure func(*record, *Invariant) (value float64, samples int, note string)
}

// defaultReversal is how many points a share must turn to count as one.
const defaultReversal = 10

// narrowing are the attributes that say which requests count.
var narrowing = []string{"from", "until", "edges", "edge", "kinds", "class", "tenant", "samples"}

func narrowed(more ...string) []string { return slices.Concat(narrowing, more) }

var metrics = map[string]metric{
	"success":      {unit: "%", atLeast: true, takes: narrowed("within"), measure: (*record).success},
	"shed":         {unit: "%", atLeast: true, atMost: true, takes: narrowing, measure: (*record).shed},
	"failed":       {unit: "requests", atMost: true, takes: narrowing, measure: (*record).failed},
	"p99":          {unit: "ms", atMost: true, takes: narrowing, measure: (*record).p99},
	"p999":         {unit: "ms", atMost: true, takes: narrowing, measure: (*record).p999},
	"slowdown":     {unit: "x", atMost: true, takes: narrowed(), before: true, measure: (*record).slowdown},
	"first_shed":   {unit: "s", atMost: true, takes: narrowing, moment: true, measure: (*record).firstShed},
	"return":       {unit: "s", atMost: true, takes: narrowed("region"), region: true, moment: true, before: true, measure: (*record).returned},
	"share":        {unit: "%", atLeast: true, atMost: true, takes: narrowed("region"), region: true, measure: (*record).share},
	"swing":        {unit: "points", atMost: true, takes: narrowed("region"), region: true, measure: (*record).swing},
	"jump":         {unit: "points", atMost: true, takes: narrowed("region"), region: true, measure: (*record).jump},
	"reversals":    {unit: "times", atMost: true, takes: narrowed("region", "by"), region: true, measure: (*record).reversals},
	"plan_changes": {unit: "changes", atMost: true, measure: (*record).flaps},
}

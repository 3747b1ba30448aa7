//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/tidegate/tidegate/test/overload/judge"
)

// fewestNumbered is how many acknowledged messages a claim about their loss needs.
const fewestNumbered = 100

// balance ends the fleet and joins what it was told of its messages with what
// services got.
func (x *exercise) balance() error {
	x.fleet.stop()
	got, err := x.received()
	if err != nil {
		return err
	}
	acknowledged, lost, open, twice, renamed := 0, 0, 0, 0, 0
	for _, r := range x.fleet.told() {
		switch {
		case r.ID == "":
		case r.Err != "":
			open++
			x.out.say("    not acknowledged: %s: %s", r.ID, r.Err)
		default:
			acknowledged++
			if got.times[r.ID] == 0 {
				lost++
				x.out.say("    acknowledged and lost: %s", r.ID)
			}
			if got.times[r.ID] > 1 {
				twice++
			}
		}
	}
	for _, ids := range got.ids {
		if len(ids) > 1 {
			renamed++
		}
	}
	x.out.say("    SDK devices: %d messages acknowledged, %d of them came more than once", acknowledged, twice)
	bar := judge.AtMost("acknowledged and lost", float64(lost), "messages", 0)
	if acknowledged < fewestNumbered {
		bar = bar.Refuse(fmt.Sprintf("%d were acknowledged, it needs %d", acknowledged, fewestNumbered))
	}
	now := time.Now()
	x.bar(bar, x.began, now)
	x.bar(judge.AtMost("came again under another id", float64(renamed), "messages", 0), x.began, now)
	x.bar(judge.AtMost("of SDK devices never acknowledged", float64(open), "messages", 0), x.began, now)
	return nil
}

package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rank orders requests for admission; higher goes first. It is a band of 128
// cohorts. The bands, lowest first: over quota by class (4), then by class
// spilled and local (8), so that what spilled in from another region ranks below
// local traffic of its class and above every lower class.
type Rank uint16

const (
	cohorts    = 128
	quotaBands = int(Critical) + 1
	rankBands  = 3 * quotaBands

	// MaxRank is the highest rank: critical, local, of the highest cohort. A
	// threshold may be one higher, and then nothing is admitted.
	MaxRank = Rank(rankBands*cohorts - 1)
)

// RankOf returns the rank of a request. A class or a cohort out of range counts
// as the highest there is. What is over its tenant's quota ranks in the lowest
// bands, spilled or not.
func RankOf(c Class, cohort uint8, spilled, overQuota bool) Rank {
	c = min(c, Critical)
	band := quotaBands + 2*int(c)
	if overQuota {
		band = int(c)
	} else if !spilled {
		band++
	}
	return Rank(band*cohorts) + Rank(min(cohort, cohorts-1))
}

// bounded holds what a peer or a caller got wrong to the ranks there are.
func (r Rank) bounded() Rank { return min(r, MaxRank) }

func (r Rank) band() int { return int(r.bounded()) / cohorts }

// Class returns the class of the requests of this rank.
func (r Rank) Class() Class {
	if r.OverQuota() {
		return Class(r.band())
	}
	return Class((r.band() - quotaBands) / 2)
}

// Spilled says that the rank is that of traffic from another region. Of what is
// over its quota nothing is known but that.
func (r Rank) Spilled() bool { return !r.OverQuota() && (r.band()-quotaBands)%2 == 0 }

// OverQuota says that the rank is that of traffic over its tenant's quota.
func (r Rank) OverQuota() bool { return r.band() < quotaBands }

func (r Rank) cohort() uint8 { return uint8(r.bounded() % cohorts) }

// lowestOfClass is the lowest rank of the same class, and as much over quota.
func (r Rank) lowestOfClass() Rank { return RankOf(r.Class(), 0, true, r.OverQuota()) }

// AsSpilled returns what the rank becomes in another region.
func (r Rank) AsSpilled() Rank {
	if r = r.bounded(); r.OverQuota() || r.Spilled() {
		return r
	}
	return r - cohorts
}

// String writes the rank as class/origin/cohort, as in critical/local/17. The
// origins are local, spilled and over-quota. The threshold above every rank is
// "none".
func (r Rank) String() string {
	if r > MaxRank {
		return "none"
	}
	origin := "local"
	if r.OverQuota() {
		origin = "over-quota"
	} else if r.Spilled() {
		origin = "spilled"
	}
	return fmt.Sprintf("%s/%s/%d", r.Class(), origin, r.cohort())
}

// ParseRank reads a rank as String writes it, or as a decimal number up to
// MaxRank. Anything else is an error of kind ErrInvalid.
func ParseRank(text string) (Rank, error) {
	if number, err := strconv.ParseUint(text, 10, 16); err == nil && Rank(number) <= MaxRank {
		return Rank(number), nil
	}
	className, rest, _ := strings.Cut(text, "/")
	origin, cohortText, _ := strings.Cut(rest, "/")
	class, err := ParseClass(className)
	cohort, cohortErr := strconv.ParseUint(cohortText, 10, 8)
	known := origin == "local" || origin == "spilled" || origin == "over-quota"
	if err != nil || cohortErr != nil || cohort >= cohorts || !known {
		return 0, fmt.Errorf("%w: rank %q: use class/local/cohort with a cohort below %d, or a number up to %d",
			ErrInvalid, clipped(text), cohorts, MaxRank)
	}
	return RankOf(class, uint8(cohort), origin == "spilled", origin == "over-quota"), nil
}

func clipped(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Cohort returns the cohort of a device, 0 to 127. It changes every hour (UTC),
// so that within a class no device is always the first to be shed.
func Cohort(device string, now time.Time) uint8 {
	hour := uint64(now.Unix() / int64(time.Hour/time.Second))
	return uint8(scramble(hashString(hashSeed, device)^scramble(hour)) % cohorts)
}

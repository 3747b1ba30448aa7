package policy_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
	"pgregory.net/rapid"
)

func TestRanksPutQuotaBeforeClassBeforeOriginBeforeCohort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (policy.Rank, [4]int) {
			class := rapid.SampledFrom(policy.Classes()).Draw(t, name+" class")
			cohort := rapid.Uint8Range(0, 127).Draw(t, name+" cohort")
			spilled, over := rapid.Bool().Draw(t, name+" spilled"), rapid.Bool().Draw(t, name+" over")
			r := policy.RankOf(class, cohort, spilled, over)
			if r.Class() != class || r.OverQuota() != over || r.Spilled() != (spilled && !over) || r > policy.MaxRank {
				t.Fatalf("%v of %v %d %v %v", r, class, cohort, spilled, over)
			}
			order := [4]int{1, int(class), 1, int(cohort)}
			if over {
				order[0] = 0
			} else if spilled {
				order[2] = 0
			}
			return r, order
		}
		a, as := draw("a")
		b, bs := draw("b")
		for i := range as {
			if as[i] != bs[i] {
				if (a < b) != (as[i] < bs[i]) {
					t.Fatalf("%v and %v", a, b)
				}
				return
			}
		}
		if a != b {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestARankThatCrossesABorderKeepsClassAndCohort(t *testing.T) {
	for r := range policy.MaxRank + 1 {
		s := r.AsSpilled()
		if s.Class() != r.Class() || s%128 != r%128 || s.OverQuota() != r.OverQuota() || s > r || (!s.Spilled() && !s.OverQuota()) || s.AsSpilled() != s {
			t.Fatalf("%v becomes %v", r, s)
		}
		for _, text := range []string{r.String(), fmt.Sprint(uint16(r))} {
			if read, err := policy.ParseRank(text); err != nil || read != r {
				t.Fatalf("%q is %v, %v", text, read, err)
			}
		}
	}
}

func TestRanksOutOfBoundsAreRefusedOrHeldToThem(t *testing.T) {
	for _, text := range []string{"", "1536", "65536", "-1", "critical", "critical/local", "critical/local/128", "critical/far/1", "x/local/1", "critical/local/1/2"} {
		if r, err := policy.ParseRank(text); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q is %v, %v", text, r, err)
		}
	}
	if r := policy.RankOf(policy.Class(200), 255, false, false); r != policy.MaxRank {
		t.Errorf("beyond every bound: %v", r)
	}
	if r := policy.Rank(65535); r.Class() != policy.Critical || r.AsSpilled() > policy.MaxRank {
		t.Errorf("beyond every rank: %v, %v", r.Class(), r.AsSpilled())
	}
}

func FuzzParseRank(f *testing.F) {
	f.Add("critical/local/17")
	f.Add("1535")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := policy.ParseRank(text); err == nil && r > policy.MaxRank {
			t.Errorf("%q is %d", text, r)
		}
	})
}

func TestCohortsAreEvenAndChangeByTheHour(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	var counts [128]int
	same := 0
	for i := range 12_800 {
		device := fmt.Sprintf("sensor-%05d", i)
		c := policy.Cohort(device, now)
		counts[c]++
		if policy.Cohort(device, now.Add(59*time.Minute)) != c {
			t.Fatalf("%s moved within the hour", device)
		}
		if policy.Cohort(device, now.Add(time.Hour)) == c {
			same++
		}
	}
	for c, n := range counts {
		if n < 50 || n > 160 {
			t.Errorf("%d of 100 in cohort %d", n, c)
		}
	}
	if same > 200 {
		t.Errorf("%d of 12,800 stayed where they were", same)
	}
}

package schedule

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestShrinkingFindsWhatFailsByItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "events")
		needed := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(n, 3), rapid.ID).Draw(t, "needed")
		slices.Sort(needed)
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		runs := 0
		got, err := Shrink(all, func(some []int) (bool, error) {
			runs++
			for _, one := range needed {
				if !slices.Contains(some, one) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil || !slices.Equal(got, needed) {
			t.Fatalf("%v, %v, want %v", got, err, needed)
		}
		if runs > 5*n+10 {
			t.Fatalf("%d runs for %d events", runs, n)
		}
	})
}

func TestShrinkingThatIsEndedReturnsTheShortestSoFar(t *testing.T) {
	enough := errors.New("enough")
	runs := 0
	got, err := Shrink([]int{1, 2, 3, 4}, func(some []int) (bool, error) {
		if runs++; runs > 1 {
			return false, enough
		}
		return slices.Contains(some, 4), nil
	})
	if !errors.Is(err, enough) || !slices.Equal(got, []int{3, 4}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestShrinkingTriesAgainWhatCouldNotGoAtFirst(t *testing.T) {
	got, err := Shrink([]int{1, 9, 2, 3}, func(some []int) (bool, error) {
		has := func(n int) bool { return slices.Contains(some, n) }
		return has(3) && (!has(2) || has(1)), nil
	})
	if err != nil || !slices.Equal(got, []int{3}) {
		t.Errorf("%v, %v", got, err)
	}
}

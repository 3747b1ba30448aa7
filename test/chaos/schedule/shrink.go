package schedule

import "slices"

// Shrink drops from what fails as long as it still fails: halves first, then
// quarters and so on, then one by one, until none can go (after Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002, without
// its complements). An error of fails ends it with the shortest found by then.
func Shrink[E any](all []E, fails func([]E) (bool, error)) ([]E, error) {
	for size := (len(all) + 1) / 2; size > 0; {
		less, err := drop(all, size, fails)
		if err != nil {
			return less, err
		}
		again := size == 1 && len(less) < len(all)
		all = less
		if !again {
			size /= 2
		}
	}
	return all, nil
}

// drop tries once to do without each stretch of a size.
func drop[E any](all []E, size int, fails func([]E) (bool, error)) ([]E, error) {
	for at := 0; at < len(all) && len(all) > 1; {
		less := slices.Delete(slices.Clone(all), at, min(at+size, len(all)))
		still := false
		if len(less) > 0 {
			var err error
			if still, err = fails(less); err != nil {
				return all, err
			}
		}
		if still {
			all = less
		} else {
			at += size
		}
	}
	return all, nil
}

package policy

import "time"

// latencySums adds up the answered requests of a stretch of time by class.
type latencySums [int(Critical) + 1]struct {
	count int64
	sum   time.Duration
}

func (l *latencySums) add(o *latencySums) {
	for c := range l {
		l[c].count += o[c].count
		l[c].sum += o[c].sum
	}
}

func (l *latencySums) count() (n int64) {
	for c := range l {
		n += l[c].count
	}
	return n
}

func (l *latencySums) mean() time.Duration {
	var sum time.Duration
	for c := range l {
		sum += l[c].sum
	}
	return sum / time.Duration(max(1, l.count()))
}

// baselines are the mean latencies of each class without congestion, in
// nanoseconds; 0: unknown. Classes are kept apart because shedding changes their
// mix, and with it the mean of all. The mean rather than a quantile: by Little's
// law it alone ties latency to concurrency and throughput whatever the
// distribution.
type baselines [int(Critical) + 1]float64

// ratio is how much longer the answers took than the same mix takes without
// congestion. known is false when no class that answered has a baseline.
func (b *baselines) ratio(l *latencySums) (ratio float64, known bool) {
	var took, usual float64
	for c := range b {
		if b[c] > 0 {
			took += float64(l[c].sum)
			usual += float64(l[c].count) * b[c]
		}
	}
	if usual == 0 {
		return 1, false
	}
	return took / usual, true
}

// adopt gives classes that have none a baseline: what they took, less the
// congestion that the others show.
func (b *baselines) adopt(l *latencySums, congestion float64) {
	for c := range b {
		if b[c] == 0 && l[c].count > 0 {
			b[c] = max(1, float64(l[c].sum)/float64(l[c].count)/congestion)
		}
	}
}

// follow moves the baselines of classes that answered by weight towards what
// they took.
func (b *baselines) follow(l *latencySums, weight float64) {
	for c := range b {
		if b[c] > 0 && l[c].count > 0 {
			mean := float64(l[c].sum) / float64(l[c].count)
			b[c] = max(1, b[c]+weight*(mean-b[c]))
		}
	}
}

func (b *baselines) scale(factor float64) {
	for c := range b {
		if b[c] > 0 {
			b[c] = min(max(1, b[c]*factor), float64(latencyCeiling))
		}
	}
}

// usual is what the mix of l takes without congestion; 0 unknown.
func (b *baselines) usual(l *latencySums) float64 {
	var sum, count float64
	for c := range b {
		if b[c] > 0 {
			sum += float64(l[c].count) * b[c]
			count += float64(l[c].count)
		}
	}
	if count == 0 {
		return 0
	}
	return sum / count
}

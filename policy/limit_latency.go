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
type baselines [int(Critical) + 1]baseline

type baseline struct {
	usual   float64
	answers int64 // that it was learned from, as far as knownFrom
}

const knownFrom = 100 // answers: the mean of fewer is much by chance

// ratio is how much longer the answers took than the same mix takes without
// congestion, judged by classes that are well known if there are any. known is
// false when no class that answered has a baseline.
func (b *baselines) ratio(l *latencySums) (ratio float64, known bool) {
	if ratio, known = b.ratioFrom(l, knownFrom); known {
		return ratio, known
	}
	return b.ratioFrom(l, 1)
}

func (b *baselines) ratioFrom(l *latencySums, answers int64) (ratio float64, known bool) {
	var took, usual float64
	for c := range b {
		if b[c].answers >= answers {
			took += float64(l[c].sum)
			usual += float64(l[c].count) * b[c].usual
		}
	}
	if usual == 0 {
		return 1, false
	}
	return took / usual, true
}

// adopt learns the baselines of classes that are not well known: what they took,
// less the congestion that the others show.
func (b *baselines) adopt(l *latencySums, congestion float64) {
	for c := range b {
		if b[c].answers >= knownFrom || l[c].count == 0 {
			continue
		}
		before := float64(b[c].answers)
		b[c].answers += l[c].count
		b[c].usual = max(1, (before*b[c].usual+float64(l[c].sum)/congestion)/float64(b[c].answers))
	}
}

// follow moves the baselines of classes that answered by weight towards what
// they took.
func (b *baselines) follow(l *latencySums, weight float64) {
	for c := range b {
		if b[c].usual > 0 && l[c].count > 0 {
			mean := float64(l[c].sum) / float64(l[c].count)
			b[c].usual = max(1, b[c].usual+weight*(mean-b[c].usual))
		}
	}
}

func (b *baselines) scale(factor float64) {
	for c := range b {
		if b[c].usual > 0 {
			b[c].usual = min(max(1, b[c].usual*factor), float64(latencyCeiling))
		}
	}
}

// usual is what the mix of l takes without congestion; 0 unknown.
func (b *baselines) usual(l *latencySums) float64 {
	var sum, count float64
	for c := range b {
		if b[c].usual > 0 {
			sum += float64(l[c].count) * b[c].usual
			count += float64(l[c].count)
		}
	}
	if count == 0 {
		return 0
	}
	return sum / count
}

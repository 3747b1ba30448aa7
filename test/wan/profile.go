//go:build linux

package wan

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Profile is what one direction between two regions does to packets. The zero
// value lets them through at once.
type Profile struct {
	Delay time.Duration // of every packet, at most 10 s

	// Jitter is how far the delay strays to either side, at most Delay. It
	// wanders, as that of a busy path does, so slowly that no packet passes
	// another: from one random value to the next in three times Jitter.
	Jitter time.Duration

	// Loss is the share of packets lost, below 1. With Burst above 1 they are
	// lost in bursts (Gilbert, 1960; Elliott, 1963): it is the mean length of a
	// bad period in packets, and BurstLoss the share lost during one; 0: all.
	Loss      float64
	Burst     float64
	BurstLoss float64

	Rate  int64 // bits a second, counted with IP headers; 0: no limit
	Queue int   // bytes that wait for Rate, more are lost; default: 100 ms of it

	Reorder   float64       // share of packets that are held back, and passed by those behind them
	ReorderBy time.Duration // for how long; default 10 ms

	Duplicate float64 // share of packets that arrive twice
	MTU       int     // bytes of the largest packet, 576 to 1500, for IPv6 at least 1280; 0: 1500
	Cut       bool    // nothing gets in; what is under way arrives
}

const (
	maxDelay     = 10 * time.Second
	maxRate      = 100_000_000_000
	maxQueue     = 64 << 20
	minMTU       = 576
	maxMTU       = 1500
	defaultQueue = 100 * time.Millisecond
	defaultBy    = 10 * time.Millisecond
)

func (p *Profile) check() error {
	share := func(name string, v float64) error {
		if math.IsNaN(v) || v < 0 || v >= 1 {
			return fmt.Errorf("%w: %s %g: use 0%% to less than 100%%", ErrInvalid, name, v)
		}
		return nil
	}
	for name, v := range map[string]float64{"loss": p.Loss, "reorder": p.Reorder, "duplicate": p.Duplicate} {
		if err := share(name, v); err != nil {
			return err
		}
	}
	switch {
	case p.Delay < 0 || p.Delay > maxDelay:
		return fmt.Errorf("%w: delay %s: use 0s to %s", ErrInvalid, p.Delay, maxDelay)
	case p.Jitter < 0 || p.Jitter > p.Delay:
		return fmt.Errorf("%w: jitter %s: use 0s to the delay, %s", ErrInvalid, p.Jitter, p.Delay)
	case p.ReorderBy < 0 || p.ReorderBy > maxDelay:
		return fmt.Errorf("%w: by %s: use 0s to %s", ErrInvalid, p.ReorderBy, maxDelay)
	case math.IsNaN(p.Burst) || p.Burst < 0 || p.Burst > 1e6:
		return fmt.Errorf("%w: burst %g: use 0 to 1000000 packets", ErrInvalid, p.Burst)
	case math.IsNaN(p.BurstLoss) || p.BurstLoss < 0 || p.BurstLoss > 1:
		return fmt.Errorf("%w: burstloss %g: use 0%% to 100%%", ErrInvalid, p.BurstLoss)
	case p.Burst > 1 && p.Loss >= p.burstLoss():
		return fmt.Errorf("%w: loss %g: use less than is lost in a burst, %g", ErrInvalid, p.Loss, p.burstLoss())
	case p.Rate < 0 || p.Rate > maxRate:
		return fmt.Errorf("%w: rate %d: use 0 to %d bits a second", ErrInvalid, p.Rate, int64(maxRate))
	case p.Queue < 0 || p.Queue > maxQueue:
		return fmt.Errorf("%w: queue %d: use 0 to %d bytes", ErrInvalid, p.Queue, maxQueue)
	case p.MTU != 0 && (p.MTU < minMTU || p.MTU > maxMTU):
		return fmt.Errorf("%w: mtu %d: use %d to %d bytes", ErrInvalid, p.MTU, minMTU, maxMTU)
	}
	return nil
}

func (p *Profile) burstLoss() float64 {
	if p.BurstLoss == 0 {
		return 1
	}
	return p.BurstLoss
}

func (p *Profile) queue() int {
	if p.Queue > 0 {
		return p.Queue
	}
	return int(float64(p.Rate) / 8 * defaultQueue.Seconds())
}

func (p *Profile) reorderBy() time.Duration {
	if p.ReorderBy > 0 {
		return p.ReorderBy
	}
	return defaultBy
}

// Set changes what one word says, "key=value" or "cut":
//
//	delay=20ms  rtt=40ms (half of it as delay)  jitter=2ms
//	loss=1%  burst=8 (packets)  burstloss=80%
//	rate=10mbit (or kbit, gbit, bit)  queue=64kb (or b, mb)
//	reorder=2%  by=5ms  duplicate=1%  mtu=1400  cut
//
// Errors are of kind ErrInvalid; bounds are checked when all words are said.
func (p *Profile) Set(word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "delay":
		p.Delay, err = time.ParseDuration(value)
	case "rtt":
		p.Delay, err = time.ParseDuration(value)
		p.Delay /= 2
	case "jitter":
		p.Jitter, err = time.ParseDuration(value)
	case "loss":
		p.Loss, err = parseShare(value)
	case "burst":
		p.Burst, err = strconv.ParseFloat(value, 64)
	case "burstloss":
		p.BurstLoss, err = parseShare(value)
	case "rate":
		p.Rate, err = parseAmount(value, rates)
	case "queue":
		var bytes int64
		bytes, err = parseAmount(value, sizes)
		p.Queue = int(bytes)
	case "reorder":
		p.Reorder, err = parseShare(value)
	case "by":
		p.ReorderBy, err = time.ParseDuration(value)
	case "duplicate":
		p.Duplicate, err = parseShare(value)
	case "mtu":
		p.MTU, err = strconv.Atoi(value)
	case "cut":
		p.Cut = true
	default:
		return fmt.Errorf("%w: %q: use delay, rtt, jitter, loss, burst, burstloss, rate, queue, reorder, by, duplicate, mtu or cut", ErrInvalid, word)
	}
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrInvalid, word, err)
	}
	return nil
}

// String says the profile in the words of Set.
func (p *Profile) String() string {
	var words []string
	add := func(given bool, word string, args ...any) {
		if given {
			words = append(words, fmt.Sprintf(word, args...))
		}
	}
	add(p.Cut, "cut")
	add(true, "delay=%s", p.Delay)
	add(p.Jitter > 0, "jitter=%s", p.Jitter)
	add(p.Loss > 0, "loss=%g%%", percent(p.Loss))
	add(p.Burst > 0, "burst=%g", p.Burst)
	add(p.BurstLoss > 0, "burstloss=%g%%", percent(p.BurstLoss))
	add(p.Rate > 0, "rate=%dbit", p.Rate)
	add(p.Queue > 0, "queue=%db", p.Queue)
	add(p.Reorder > 0, "reorder=%g%%", percent(p.Reorder))
	add(p.ReorderBy > 0, "by=%s", p.ReorderBy)
	add(p.Duplicate > 0, "duplicate=%g%%", percent(p.Duplicate))
	add(p.MTU > 0, "mtu=%d", p.MTU)
	return strings.Join(words, " ")
}

// percent is a share in percent, to a millionth.
func percent(share float64) float64 { return math.Round(share*1e8) / 1e6 }

func parseShare(text string) (float64, error) {
	number, found := strings.CutSuffix(text, "%")
	if !found {
		return 0, errors.New("write a share in percent, as 2%")
	}
	v, err := strconv.ParseFloat(number, 64)
	return math.Round(v*1e6) / 1e8, err
}

type unit struct {
	suffix string
	factor float64
}

// The longer of two suffixes that end alike comes first.
var (
	rates = []unit{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}}
	sizes = []unit{{"kb", 1 << 10}, {"mb", 1 << 20}, {"b", 1}}
)

func parseAmount(text string, units []unit) (int64, error) {
	for _, u := range units {
		if number, found := strings.CutSuffix(text, u.suffix); found {
			v, err := strconv.ParseFloat(number, 64)
			if err == nil && (math.IsNaN(v) || math.Abs(v*u.factor) > 1<<62) {
				err = strconv.ErrRange
			}
			return int64(v * u.factor), err
		}
	}
	return 0, fmt.Errorf("write a number with a unit, as 10%s", units[0].suffix)
}

package device

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever happens to messages, with one in flight for each topic they are
// acknowledged in order there, every one of them once.
func TestLanesKeepTheOrderOfEachTopic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perTopic := rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "per topic")
		l := newLanes(perTopic)
		now := time.Unix(1000, 0)
		var seq uint64
		var flying []*entry
		underWay, last, left := map[string]int{}, map[string]uint64{}, 0
		take := func(t *rapid.T) *entry {
			i := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
			e := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			underWay[e.topic]--
			return e
		}
		acknowledge := func(e *entry) {
			if perTopic == 1 && e.seq < last[e.topic] {
				t.Fatalf("%d after %d on %s", e.seq, last[e.topic], e.topic)
			}
			last[e.topic] = e.seq
			e.settled = true
			l.done(e)
			left--
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				seq++
				left++
				l.add(&entry{seq: seq, topic: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "topic"))})
			},
			"send": func(t *rapid.T) {
				if e := l.next(now); e != nil {
					flying = append(flying, e)
					if underWay[e.topic]++; underWay[e.topic] > perTopic {
						t.Fatalf("%d under way on %s", underWay[e.topic], e.topic)
					}
				}
			},
			"acknowledge": func(t *rapid.T) {
				if len(flying) > 0 {
					acknowledge(take(t))
				}
			},
			"again": func(t *rapid.T) {
				if len(flying) > 0 {
					l.again(take(t), now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "s"))*time.Second))
				}
			},
			"lost": func(t *rapid.T) {
				for len(flying) > 0 {
					l.again(take(t), time.Time{})
				}
			},
			"wait": func(t *rapid.T) { now = now.Add(3 * time.Second) },
		})
		for now = now.Add(time.Minute); left > 0; {
			for e := l.next(now); e != nil; e = l.next(now) {
				flying = append(flying, e)
				underWay[e.topic]++
			}
			if len(flying) == 0 {
				t.Fatalf("%d are left and are not sent", left)
			}
			acknowledge(take(t))
		}
		if len(l.byTopic)+len(l.ready)+len(l.held) != 0 {
			t.Fatalf("empty, and %d topics, %d ready, %d held are kept", len(l.byTopic), len(l.ready), len(l.held))
		}
	})
}

func TestATopicThatWaitsHoldsUpNoOther(t *testing.T) {
	l, now := newLanes(1), time.Unix(1000, 0)
	a, b := &entry{seq: 1, topic: "a"}, &entry{seq: 2, topic: "b"}
	l.add(a)
	l.add(&entry{seq: 3, topic: "a"})
	l.add(b)
	if l.next(now) != a || l.next(now) != b {
		t.Fatal("topics do not take turns")
	}
	l.again(a, now.Add(time.Second))
	if e := l.next(now); e != nil {
		t.Fatalf("%d is sent before its time", e.seq)
	}
	if due := l.due(); !due.Equal(now.Add(time.Second)) {
		t.Errorf("due at %s", due)
	}
	if l.next(now.Add(time.Second)) != a {
		t.Error("not sent when its time has come")
	}
}

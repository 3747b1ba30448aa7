package policy

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Batch says how messages of a route that are published over MQTT gather, to
// reach the service in one request. The batch goes as soon as one of the three is
// reached.
type Batch struct {
	Messages int           // 2 to MaxBatch, default 100
	Bytes    int           // of the request's body, 1 to MaxBatchBytes, default 256 KiB; a message that is larger goes alone
	Wait     time.Duration // of the first message for others: 1 ms to MaxBatchWait, less than half of any timeout; default 20 ms
}

// The most that a route may ask for.
const (
	MaxBatch      = 1000
	MaxBatchBytes = 1 << 20
	MaxBatchWait  = time.Second
)

var batchShape = blockShape{keys: []string{"messages", "bytes", "wait"}}

// compileBatch reads the batch block of a route whose other parts are compiled.
func (c *routeCompiler) compileBatch(r *Route, hb *hcl.Block) {
	if hb == nil {
		return
	}
	b := openBlock(hb.Body, hb.DefRange, batchShape, c.found)
	batch := &Batch{Messages: b.number("messages", 2, MaxBatch, 100), Bytes: 256 << 10, Wait: 20 * time.Millisecond}
	if n := b.size("bytes", MaxBatchBytes); n > 0 {
		batch.Bytes = n
	}
	if wait, given := b.duration("wait"); given {
		batch.Wait = wait
	}
	if shortest := r.shortestTimeout(); batch.Wait > MaxBatchWait || shortest > 0 && batch.Wait >= shortest/2 {
		b.fail("wait", `write a duration from "1ms" to "1s", less than half of the timeout`,
			"%s is too long where a message may take %s", batch.Wait, shortest)
	}
	c.checkBatched(r, hb.DefRange)
	r.Batch = batch
}

func (r *Route) shortestTimeout() time.Duration {
	shortest := r.Timeout
	if !r.explicitTimeout {
		for _, s := range r.services {
			shortest = min(shortest, s.Timeout)
		}
	}
	return shortest
}

// checkBatched reports what keeps messages of a route from ever sharing a request.
func (c *routeCompiler) checkBatched(r *Route, at hcl.Range) {
	if methods := r.Match.Methods; len(methods) > 0 && !slices.Contains(methods, MethodPublish) {
		c.found.add(at, `add "PUBLISH" to methods, or remove the batch block`,
			"batch: has no effect, because only what is published over MQTT gathers and methods leave PUBLISH out")
	}
	if r.rewrite.path == nil && r.pattern.hasCaptures() {
		c.found.add(at, `add rewrite { path = "/events" }, the path that batches are for`,
			"batch: messages gather that go to the same path, and in route %q every topic is a path of its own", r.Name)
	}
	for _, set := range r.rewrite.request.set {
		if set.value.hasCaptures() {
			c.found.add(at, "leave the captures out: the service sees each message's topic in its event",
				"batch: set_headers: %s holds a capture, but the messages of a batch share their headers", set.name)
		}
	}
}

func (p pathPattern) hasCaptures() bool {
	return slices.ContainsFunc(p, func(s segment) bool { return s.kind != literalSegment })
}

package gossip

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/encoding/protowire"
)

// memberlist calls these from its own goroutines, some under its node lock:
// they take only the pool's lock and never block.

func (p *pool) NodeMeta(limit int) []byte {
	if meta := p.meta(); len(meta) <= limit {
		return meta
	}
	return nil
}

func (p *pool) NotifyMsg(frame []byte) { p.deliver(p, frame) }

func (p *pool) GetBroadcasts(overhead, limit int) [][]byte {
	return p.queue.GetBroadcasts(overhead, limit)
}

func (p *pool) LocalState(join bool) []byte { return p.bundle(join) }

func (p *pool) MergeRemoteState(state []byte, _ bool) {
	for _, frame := range splitBundle(state) {
		p.deliver(p, frame)
	}
}

// NotifyAlive refuses members that could not take part: other regions' agents
// on a LAN, unreadable metadata, and more members than a pool is made for.
func (p *pool) NotifyAlive(node *memberlist.Node) error {
	meta, _, err := decodeMeta(node.Name, node.Meta)
	if err != nil {
		return err
	}
	if p.region != "" && meta.Region != p.region {
		return fmt.Errorf("agent %s is of region %s, this pool is of %s", node.Name, meta.Region, p.region)
	}
	if p.live.Load() >= MaxAgents {
		if known := p.peer(node.Name); known == nil || !known.alive {
			return fmt.Errorf("agent %s: the pool is full with %d members", node.Name, MaxAgents)
		}
	}
	return nil
}

func (p *pool) NotifyJoin(node *memberlist.Node)   { p.note(node, true) }
func (p *pool) NotifyUpdate(node *memberlist.Node) { p.note(node, true) }
func (p *pool) NotifyLeave(node *memberlist.Node)  { p.note(node, false) }

func (p *pool) note(node *memberlist.Node, alive bool) {
	meta, run, err := decodeMeta(node.Name, node.Meta)
	if err != nil { // NotifyAlive refused it already
		return
	}
	next := &poolPeer{node: *node, meta: meta, life: run.life, format: run.format, alive: alive, since: time.Now()}
	next.node.Addr = append([]byte(nil), node.Addr...)
	next.node.Meta = nil
	p.mu.Lock()
	before := p.peers[node.Name]
	if before == nil {
		p.makeRoom()
	}
	p.peers[node.Name] = next
	p.fresh = true
	p.mu.Unlock()
	wasAlive := before != nil && before.alive
	if alive && !wasAlive {
		p.live.Add(1)
	}
	if !alive && wasAlive {
		p.live.Add(-1)
	}
	p.changed()
}

// makeRoom bounds the memory of the dead.
func (p *pool) makeRoom() {
	for name, peer := range p.peers {
		if len(p.peers) < 2*MaxAgents {
			return
		}
		if !peer.alive {
			delete(p.peers, name)
		}
	}
}

// A bundle is several frames in one message or state exchange.
const bundleFrame protowire.Number = 1

func joinBundle(frames [][]byte) []byte {
	var b []byte
	for _, frame := range frames {
		b = appendBlob(b, bundleFrame, frame)
	}
	return b
}

// isBundle tells a bundle from an envelope, which begins with its version.
func isBundle(b []byte) bool {
	num, typ, size := protowire.ConsumeTag(b)
	return size > 0 && num == bundleFrame && typ == protowire.BytesType
}

// splitBundle returns the frames of a state exchange, up to the first fault.
func splitBundle(b []byte) [][]byte {
	var frames [][]byte
	_ = eachField(b, func(f field) error {
		if f.is(bundleFrame, protowire.BytesType) && len(frames) < MaxRegions+MaxOverrides {
			frames = append(frames, f.b)
		}
		return nil
	})
	return frames
}

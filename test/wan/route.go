//go:build linux

package wan

import (
	"bytes"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxBatch is how many packets are read before they are handed on.
const maxBatch = 64

// route hands the packets that leave the region to the links, until its device
// is closed.
func (r *Region) route() {
	raw, err := r.tun.SyscallConn()
	if err != nil {
		return // closed before it began
	}
	buffer := make([]byte, 1<<16)
	var batch [][]byte
	var flaw error
	read := func(fd uintptr) bool {
		batch, flaw = drain(int(fd), buffer, batch)
		return len(batch) > 0 || flaw != nil
	}
	for raw.Read(read) == nil && flaw == nil {
		r.forward(batch, time.Now())
		batch = batch[:0]
	}
}

// drain reads what is there.
func drain(fd int, buffer []byte, batch [][]byte) ([][]byte, error) {
	for len(batch) < maxBatch {
		switch n, err := unix.Read(fd, buffer); err {
		case nil:
			batch = append(batch, bytes.Clone(buffer[:n]))
		case syscall.EINTR:
		case syscall.EAGAIN:
			return batch, nil
		default:
			return batch, err
		}
	}
	return batch, nil
}

// forward offers each run of packets for one region to its link. What is for
// nobody is dropped.
func (r *Region) forward(batch [][]byte, now time.Time) {
	for len(batch) > 0 {
		to := destination(batch[0])
		n := 1
		for n < len(batch) && destination(batch[n]) == to {
			n++
		}
		if l := r.links[to]; l != nil {
			l.offer(batch[:n], now)
		}
		batch = batch[n:]
	}
}

func destination(packet []byte) int {
	_, to, ok := addresses(packet)
	if !ok {
		return 0
	}
	return numberOf(to)
}

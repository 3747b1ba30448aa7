//go:build linux

package wan

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// arrival is one packet of a flow that arrived.
type arrival struct {
	number int
	took   time.Duration
	at     time.Time
}

// flow sends numbered UDP packets of a size (with their headers) on a schedule
// and returns those that arrived, in that order.
func flow(t testing.TB, from, to *Region, packets, size int, gap time.Duration) []arrival {
	t.Helper()
	const port, quiet = 9, 700 * time.Millisecond
	receiver := socket(t, to, netip.AddrPortFrom(to.Addr(2), port))
	sender := socket(t, from, netip.AddrPortFrom(from.Addr(2), port))
	defer receiver.Close()
	defer sender.Close()
	began := time.Now()
	go func() { // it ends at the latest with its socket
		data := make([]byte, size-28)
		for n := range packets {
			time.Sleep(time.Until(began.Add(time.Duration(n) * gap)))
			binary.BigEndian.PutUint32(data, uint32(n))
			binary.BigEndian.PutUint64(data[4:], uint64(time.Since(began)))
			if _, err := sender.WriteToUDPAddrPort(data, netip.AddrPortFrom(to.Addr(2), port)); err != nil {
				return
			}
		}
	}()
	var got []arrival
	data := make([]byte, maxMTU)
	end := began.Add(time.Duration(packets)*gap + quiet)
	for {
		_ = receiver.SetReadDeadline(later(end, time.Now().Add(quiet)))
		_, _, err := receiver.ReadFromUDPAddrPort(data)
		if err != nil {
			return got
		}
		now := time.Now()
		sent := began.Add(time.Duration(binary.BigEndian.Uint64(data[4:])))
		got = append(got, arrival{int(binary.BigEndian.Uint32(data)), now.Sub(sent), now})
	}
}

func socket(t testing.TB, in *Region, addr netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := in.In(func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20) // as much as the machine gives
	return conn
}

// quantile of how long packets took. A lower one than the median leaves out
// those that had to wait for a CPU.
func quantile(got []arrival, q float64) time.Duration {
	var all []time.Duration
	for _, a := range got {
		all = append(all, a.took)
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[int(q*float64(len(all)-1))]
}

// numbers are those that arrived, each once.
func numbers(got []arrival) map[int]int {
	seen := map[int]int{}
	for _, a := range got {
		seen[a.number]++
	}
	return seen
}

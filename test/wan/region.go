//go:build linux

package wan

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netns"
)

// Region is one network namespace. Its addresses are 10.99.N.1, .2 and so on,
// and fd00:99:N::1, ::2 and so on, for the N-th region; all are its own, so
// that many programs can use the same port.
type Region struct {
	Name string

	number    int
	addresses int
	space     netns.NsHandle
	tun       *os.File
	links     [256]*link // by number of the region they go to
}

func newRegion(name string, number, addresses int) (*Region, error) {
	r := &Region{Name: name, number: number, addresses: addresses}
	var err error
	if r.space, err = newSpace(); err != nil {
		return nil, err
	}
	err = r.In(func() error {
		if r.tun, err = openTUN(); err != nil {
			return err
		}
		return r.configure()
	})
	if err != nil {
		_ = r.tun.Close() // of nil does nothing
		_ = r.space.Close()
		return nil, err
	}
	return r, nil
}

// Addr is the k-th IPv4 address of the region, from 1 on.
func (r *Region) Addr(k int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 99, byte(r.number), byte(k)})
}

// Addr6 is the k-th IPv6 address of the region, from 1 on.
func (r *Region) Addr6(k int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x99, 5: byte(r.number), 15: byte(k)})
}

// The networks of all regions.
var (
	network4 = netip.MustParsePrefix("10.99.0.0/16")
	network6 = netip.MustParsePrefix("fd00:99::/32")
)

// numberOf is the number of the region that has an address in its network, 0
// when none can have it.
func numberOf(a netip.Addr) int {
	switch {
	case network4.Contains(a):
		return int(a.As4()[2])
	case network6.Contains(a) && a.As16()[4] == 0:
		return int(a.As16()[5])
	}
	return 0
}

// Inside is a command for people: what is put behind it runs in the region, as
// long as this process lives.
func (r *Region) Inside() string {
	user := ""
	if os.Getenv(insideVariable) != "" {
		user = fmt.Sprintf("--user=/proc/%d/ns/user --preserve-credentials ", os.Getpid())
	}
	return fmt.Sprintf("nsenter %s--net=/proc/%d/fd/%d", user, os.Getpid(), int(r.space))
}

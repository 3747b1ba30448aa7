//go:build linux

package wan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// newSpace makes a network namespace that lasts as long as the handle or a
// process in it.
func newSpace() (netns.NsHandle, error) {
	space := netns.None()
	err := aside(func() (err error) {
		space, err = netns.New()
		return permitted("make a network namespace", err)
	})
	return space, err
}

// In calls do on a thread that is inside the region: the sockets it opens and
// the programs it starts are there, wherever they are used afterwards. It must
// leave opening to no other goroutine, as net.Dial does for names.
func (r *Region) In(do func() error) error {
	return aside(func() error {
		if err := netns.Set(r.space); err != nil {
			return fmt.Errorf("enter region %s: %w", r.Name, err)
		}
		return do()
	})
}

// aside calls do with a thread to itself and puts that back where it was.
func aside(do func() error) error {
	runtime.LockOSThread()
	here, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find the own network namespace: %w", err)
	}
	defer here.Close()
	err = do()
	if back := netns.Set(here); back != nil {
		// Locked for ever, the thread ends with its goroutine.
		return errors.Join(err, fmt.Errorf("leave a network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// device is the name of a region's way out.
const device = "wan0"

// openTUN makes the way out in the namespace of this thread.
func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, permitted("open /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, permitted("make a TUN device", err)
	}
	// Not earlier: before it is a device it cannot be polled.
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func permitted(operation string, err error) error {
	if err == nil {
		return nil
	}
	for _, denied := range []error{unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENOSPC, unix.ENODEV} {
		if errors.Is(err, denied) {
			return fmt.Errorf("%s: %w: %w", operation, err, ErrNotPermitted)
		}
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// deviceQueue is how many packets may wait for the router.
const deviceQueue = 5000

// configure gives the namespace of this thread its addresses and the way to the
// other regions; to nowhere else.
func (r *Region) configure() error {
	out, err := raise(device)
	if err != nil {
		return err
	}
	if _, err := raise("lo"); err != nil {
		return err
	}
	if err := netlink.LinkSetTxQLen(out, deviceQueue); err != nil {
		return fmt.Errorf("set the queue of %s: %w", device, err)
	}
	if err := r.inhabit(out, network4, r.Addr); err != nil || !hasIPv6() {
		return err
	}
	return r.inhabit(out, network6, r.Addr6)
}

func raise(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return link, nil
}

// inhabit adds the addresses of one family, and the route to everybody else's.
func (r *Region) inhabit(out netlink.Link, network netip.Prefix, address func(k int) netip.Addr) error {
	for k := 1; k <= r.addresses; k++ {
		add := &netlink.Addr{IPNet: netlink.NewIPNet(address(k).AsSlice()), Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(out, add); err != nil {
			return fmt.Errorf("add address %s: %w", address(k), err)
		}
	}
	all := &net.IPNet{IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen())}
	route := &netlink.Route{LinkIndex: out.Attrs().Index, Dst: all, Src: address(1).AsSlice(), Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("add the route to %s: %w", network, err)
	}
	return nil
}

func hasIPv6() bool {
	disabled, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && strings.TrimSpace(string(disabled)) == "0"
}

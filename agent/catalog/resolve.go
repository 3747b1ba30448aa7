package catalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// resolveAtOnce bounds the DNS queries made at the same time.
const resolveAtOnce = 8

// Resolve turns "host:port" addresses into IP:port: a name gives all its A and
// AAAA addresses, asked for anew each time. It returns what could be resolved,
// in order and without repetition, and an error joining what could not.
func Resolve(ctx context.Context, addrs []string) ([]string, error) {
	found, errs := make([][]string, len(addrs)), make([]error, len(addrs))
	var group errgroup.Group
	group.SetLimit(resolveAtOnce)
	for i, addr := range addrs {
		group.Go(func() error {
			found[i], errs[i] = resolve(ctx, addr)
			return nil
		})
	}
	group.Wait()
	return distinct(slices.Concat(found...)), errors.Join(errs...)
}

func resolve(ctx context.Context, addr string) ([]string, error) {
	host, port, err := splitHostPort("join address", addr)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{netip.AddrPortFrom(ip, uint16(port)).String()}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve join address %q: %w", addr, err)
	}
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(port))
	}
	return out, nil
}

// distinct drops repetitions, keeping the order.
func distinct(in []string) []string {
	seen := make(map[string]bool, len(in))
	return slices.DeleteFunc(in, func(s string) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

// resolveJoin resolves the configured addresses of both pools.
func resolveJoin(ctx context.Context, opt Options) (lan, wan []string, err error) {
	lan, lanErr := Resolve(ctx, opt.RetryJoin)
	wan, wanErr := Resolve(ctx, opt.RetryJoinWAN)
	return lan, wan, errors.Join(lanErr, wanErr)
}

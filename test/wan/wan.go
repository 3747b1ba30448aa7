//go:build linux

// Package wan is a wide-area network on one machine: each region is a network
// namespace, and a router of ours carries packets between them, with the
// latency, loss and bandwidth that were asked for. Programs run inside
// unmodified.
//
//	program ── socket ── [namespace of a region] ── TUN ── router ── TUN ── [another namespace]
//
// Inside a region nothing is delayed: its addresses are local to it. What an
// ordered pair of regions does to packets is its Profile, which may be changed
// while they flow.
//
// It needs Linux, /dev/net/tun and either root or user namespaces (see Enter).
// All of it belongs to one process: namespaces and devices end with it, and so
// do the programs it started. What such a program started itself outlives a
// crash; Clean finds it.
package wan

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// Config describes a network.
type Config struct {
	Regions   []string // names, at most 250: letters, digits and dashes
	Addresses int      // of each region and family, 1 to 250; default 16
	Seed      uint64   // of loss, jitter and so on

	// Setup are lines as Do takes them, which say how the network is before
	// anything goes wrong; "reset" goes back there. Without them packets arrive
	// at once.
	Setup []string
}

// WAN is a running network. Its methods may be called concurrently.
type WAN struct {
	dir     string
	regions []*Region
	links   []*link
	serving *http.Server
	loops   sync.WaitGroup
	closing sync.Once
}

// ErrNotPermitted is the kind of errors of a machine that does not allow
// namespaces or TUN devices.
var ErrNotPermitted = errors.New("namespaces and TUN devices need root, or user namespaces and a /dev/net/tun that everybody may open")

// ErrInvalid is the kind of errors about what makes no sense.
var ErrInvalid = errors.New("invalid")

const maxRegions, maxAddresses = 250, 250

const socketName = "wan.sock"

var regionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

func (c *Config) check() error {
	if c.Addresses == 0 {
		c.Addresses = 16
	}
	if len(c.Regions) < 1 || len(c.Regions) > maxRegions {
		return fmt.Errorf("%w: %d regions: use 1 to %d", ErrInvalid, len(c.Regions), maxRegions)
	}
	if c.Addresses < 1 || c.Addresses > maxAddresses {
		return fmt.Errorf("%w: %d addresses: use 1 to %d", ErrInvalid, c.Addresses, maxAddresses)
	}
	seen := map[string]bool{}
	for _, name := range c.Regions {
		if !regionName.MatchString(name) || seen[name] {
			return fmt.Errorf("%w: region %q: use letters, digits and dashes, each name once", ErrInvalid, name)
		}
		seen[name] = true
	}
	return nil
}

// Start makes the network. Close ends it.
func Start(cfg Config) (w *WAN, err error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("wan: %w", err)
	}
	w = &WAN{}
	defer func() {
		if err != nil {
			_ = w.Close()
			w, err = nil, fmt.Errorf("wan: %w", err)
		}
	}()
	if w.dir, err = makeDir(); err != nil {
		return w, err
	}
	for i, name := range cfg.Regions {
		r, err := newRegion(name, i+1, cfg.Addresses)
		if err != nil {
			return w, fmt.Errorf("region %s: %w", name, err)
		}
		w.regions = append(w.regions, r)
	}
	if err := w.connect(cfg.Seed); err != nil {
		return w, err
	}
	for _, line := range cfg.Setup {
		if err := w.Do(line); err != nil {
			return w, err
		}
	}
	for _, l := range w.links {
		l.original = l.profile
	}
	w.run()
	return w, w.serve()
}

// connect makes the links between all pairs.
func (w *WAN) connect(seed uint64) error {
	for _, from := range w.regions {
		for _, to := range w.regions {
			if from == to {
				continue
			}
			l, err := newLink(from, to, seed)
			if err != nil {
				return err
			}
			from.links[to.number] = l
			w.links = append(w.links, l)
		}
	}
	return nil
}

func (w *WAN) run() {
	for _, l := range w.links {
		w.loops.Go(l.run)
	}
	for _, r := range w.regions {
		w.loops.Go(r.route)
	}
}

// Dir is a folder for files of this run. It goes with Close.
func (w *WAN) Dir() string { return w.dir }

// Socket is the unix socket of the control API.
func (w *WAN) Socket() string { return filepath.Join(w.dir, socketName) }

// Regions are in the order of Config.Regions.
func (w *WAN) Regions() []*Region { return w.regions }

// Region finds a region by name; nil when there is none.
func (w *WAN) Region(name string) *Region {
	for _, r := range w.regions {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Close kills every process in the regions and removes the network.
func (w *WAN) Close() error {
	var errs []error
	w.closing.Do(func() {
		if w.serving != nil {
			errs = append(errs, w.serving.Close())
		}
		for _, r := range w.regions {
			errs = append(errs, r.Kill(), r.tun.Close())
		}
		for _, l := range w.links {
			errs = append(errs, l.stop())
		}
		w.loops.Wait()
		for _, r := range w.regions {
			errs = append(errs, r.space.Close())
		}
		if w.dir != "" {
			errs = append(errs, os.RemoveAll(w.dir))
		}
	})
	return errors.Join(errs...)
}

//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/test/overload/judge"
)

const stormDevices = 600

// squall is what the process that plays the storm's devices is told: an
// assignment, and when the storms are.
type squall struct {
	assignment
	At, Every time.Duration
}

// stormAsDevices connects idle devices, which lose their connections all at once,
// again and again, and prints how each storm went at SIGTERM.
func stormAsDevices() error {
	var s squall
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	trust, err := trusting(s.CA)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tell := newTeller(os.Stdout)
	report, err := load.Run(ctx, load.Config{
		Edges: s.Edges, Kinds: kinds[:1], Devices: 1, Rate: s.Rate, TLS: trust, Timeout: 10 * time.Second,
		Idle: stormDevices, Storms: []load.Storm{{At: s.At, Every: s.Every}},
		Begin:    func(time.Time) { tell.print(&load.StormReport{}) },
		Identity: func(n int) (tls.Certificate, error) { return identity(s.Dir, n%deviceCount) },
	})
	if err != nil {
		return err
	}
	for _, one := range report.Storms {
		tell.print(one)
	}
	return nil
}

// storms is what the process tells: that all are connected, then each storm.
type storms struct {
	*player
	mu  sync.Mutex // guards all
	all []load.StormReport
}

func (s *storms) take(one load.StormReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

func (s *storms) told() []load.StormReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

func (x *exercise) reconnectStorm() error {
	s := &storms{}
	told := squall{assignment{Rate: 1, CA: x.caFile(), Dir: x.deviceDir()}, time.Second, 10 * time.Second}
	for _, a := range x.region("eu-2").agents {
		told.Edges = append(told.Edges, load.Edge{Region: "eu-2", Agent: a.name, Addr: a.edge()})
	}
	from := x.mark(fmt.Sprintf("%d devices connect to eu-2", stormDevices))
	var err error
	if s.player, err = play(x.mesh, roleStorm, told, s.take); err != nil {
		return err
	}
	defer s.stop()
	err = await(x.ctx, time.Minute, func() error {
		if len(s.told()) == 0 {
			return fmt.Errorf("they do not get their connections: %s", s.proc.Tail())
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.mark("they lose their connections every 10 s")
	if err := x.pause(x.long(35*time.Second, 9*time.Second)); err != nil {
		return err
	}
	s.stop()
	mended := x.mark("they are gone")
	if err := x.settle(mended); err != nil {
		return err
	}
	if err := x.pause(5 * time.Second); err != nil {
		return err
	}
	until := time.Now().Add(-5 * time.Second)
	x.keptAll(from, until)
	x.success("all at other edges succeeded within 1 s", x.pick(from, until, at("eu-1", "us-1")), time.Second, 99, from, until)
	x.success("critical succeeded", x.pick(from, until, criticalAt(regionNames...)), 5*time.Second, 99.9, from, until)
	x.calmed(s.told()[1:], from, mended)
	x.steadyPlans(x.agents())
	return nil
}

// calmed judges how soon all were back, but for the storm that was cut short.
func (x *exercise) calmed(all []load.StormReport, from, until time.Time) {
	longest := 0.0
	for i, s := range all {
		x.out.say("    storm at %.1f s: %d of %d devices back, %d attempts, %d refused", s.At, s.Back, s.Devices, s.Attempts, s.Refused)
		if s.Seconds != nil {
			longest = max(longest, *s.Seconds)
		} else if i < len(all)-1 {
			longest = until.Sub(from).Seconds()
		}
	}
	b := judge.AtMost("all devices of a storm back", longest, "s", 10)
	if longest == 0 {
		b = b.Refuse("no storm was over")
	}
	x.bar(b, from, until)
}

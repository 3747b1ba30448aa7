package fault

import (
	"errors"
	"math"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestBadRulesAreRefusedAndChangeNothing(t *testing.T) {
	sw := NewSwitch(nil)
	add(t, sw, Rule{ID: "a", Drop: 0.5})
	for name, r := range map[string]Rule{
		"no ID":           {},
		"drop over one":   {ID: "a", Drop: 1.1},
		"drop below zero": {ID: "a", Drop: -0.1},
		"drop not number": {ID: "a", Drop: math.NaN()},
		"delay below":     {ID: "a", Delay: -1},
		"delay too long":  {ID: "a", Delay: time.Hour},
		"jitter below":    {ID: "a", Jitter: -1},
		"direction":       {ID: "a", Direction: 9},
	} {
		if err := sw.Add(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if rules := sw.Rules(); len(rules) != 1 || rules[0].Drop != 0.5 {
		t.Fatalf("rules are %+v, want the first alone", rules)
	}
}

func TestRulesAreReplacedRemovedAndBounded(t *testing.T) {
	sw := NewSwitch(nil)
	add(t, sw, Rule{ID: "a", Drop: 0.5})
	add(t, sw, Rule{ID: "a", Drop: 0.7})
	if rules := sw.Rules(); len(rules) != 1 || rules[0].Drop != 0.7 {
		t.Fatalf("rules are %+v, want the replaced one", rules)
	}
	if !sw.Remove("a") || sw.Remove("a") || len(sw.Rules()) != 0 {
		t.Fatal("a rule must be removed once")
	}
	var err error
	for i := range mostRules + 1 {
		err = sw.Add(Rule{ID: string(rune('a' + i))})
	}
	if !errors.Is(err, ErrInvalid) {
		t.Fatalf("rule %d: got %v, want ErrInvalid", mostRules+1, err)
	}
	sw.Clear()
	if len(sw.Rules()) != 0 {
		t.Fatal("Clear left rules")
	}
}

func TestRuleEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := NewSwitch(nil)
		a, b := addr("10.0.0.1:1"), addr("10.0.0.2:2")
		add(t, sw, Rule{ID: "short", Drop: 1, Expires: time.Now().Add(time.Second)})
		f := sw.judge(a, b, sending)
		if !f.cut() {
			t.Fatal("the rule is not in force")
		}
		must(t, sw.awaitPath(t.Context(), a, b))
		if f := sw.judge(a, b, sending); f.cut() || len(sw.Rules()) != 0 {
			t.Fatal("the rule outlived its expiry")
		}
	})
}

func TestDirectionSaysWhichWaySuffers(t *testing.T) {
	a, b := addr("10.0.0.1:1"), addr("10.0.0.2:2")
	for direction, want := range map[Direction][2]bool{Both: {true, true}, Out: {true, false}, In: {false, true}} {
		sw := NewSwitch(nil)
		add(t, sw, Rule{
			ID: "r", Direction: direction, Drop: 1,
			From: Party{Addrs: []netip.AddrPort{a}}, To: Party{Addrs: []netip.AddrPort{b}},
		})
		there, back := sw.judge(a, b, sending), sw.judge(b, a, sending)
		if got := [2]bool{there.cut(), back.cut()}; got != want {
			t.Errorf("%v: cut (out, in) is %v, want %v", direction, got, want)
		}
	}
}

func TestPartyListsHostsPortsAndRegions(t *testing.T) {
	region := func(a netip.AddrPort) string {
		if a.Addr() == netip.MustParseAddr("10.9.9.9") {
			return "eu-1"
		}
		return ""
	}
	sw := NewSwitch(region)
	for _, c := range []struct {
		party Party
		addr  string
		want  bool
	}{
		{Party{}, "1.2.3.4:5", true},
		{Party{Except: true}, "1.2.3.4:5", false},
		{Party{Addrs: []netip.AddrPort{addr("1.2.3.4:0")}}, "1.2.3.4:5", true},
		{Party{Addrs: []netip.AddrPort{addr("1.2.3.4:6")}}, "1.2.3.4:5", false},
		{Party{Addrs: []netip.AddrPort{addr("0.0.0.0:5")}}, "1.2.3.4:5", true},
		{Party{Addrs: []netip.AddrPort{addr("1.2.3.4:5")}}, "[::ffff:1.2.3.4]:5", true},
		{Party{Addrs: []netip.AddrPort{addr("1.2.3.4:5")}}, "0.0.0.0:5", true},
		{Party{Addrs: []netip.AddrPort{addr("1.2.3.4:5")}, Except: true}, "1.2.3.4:5", false},
		{Party{Regions: []string{"eu-1"}}, "10.9.9.9:1", true},
		{Party{Regions: []string{"eu-1"}}, "10.9.9.8:1", false},
		{Party{Regions: []string{"eu-1"}, Except: true}, "10.9.9.8:1", true},
	} {
		e := sw.endpoint(addr(c.addr))
		if got := c.party.includes(&e); got != c.want {
			t.Errorf("%+v includes %s: %v, want %v", c.party, c.addr, got, c.want)
		}
	}
}

// A cut is symmetric, leaves the group and the rest whole, and takes everything
// between them.
func TestCutIsSymmetricAndExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ports := rapid.SliceOfNDistinct(rapid.Uint16Range(1, 40), 2, 12, rapid.ID).Draw(rt, "ports")
		inside := rapid.IntRange(1, len(ports)-1).Draw(rt, "inside")
		at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) }
		var group []netip.AddrPort
		for _, p := range ports[:inside] {
			group = append(group, at(p))
		}
		sw := NewSwitch(nil)
		if err := sw.Add(Cut(group...)); err != nil {
			rt.Fatal(err)
		}
		for i, p := range ports {
			for j, q := range ports {
				there, back := sw.judge(at(p), at(q), sending), sw.judge(at(q), at(p), receiving)
				crosses := (i < inside) != (j < inside)
				if there.cut() != crosses || back.cut() != crosses {
					rt.Fatalf("%d to %d: cut %v, back %v, want %v", p, q, there.cut(), back.cut(), crosses)
				}
			}
		}
	})
}

func TestSharedSwitchChargesAPacketOnce(t *testing.T) {
	sw := NewSwitch(nil)
	a, b := addr("127.0.0.1:1"), addr("127.0.0.1:2")
	sw.known.own(a, 1)
	add(t, sw, Rule{ID: "slow", Delay: time.Second, Drop: 0.5})
	out, in, foreign := sw.judge(a, b, sending), sw.judge(a, b, receiving), sw.judge(b, a, receiving)
	if out.delay != time.Second || out.drop != 0.5 {
		t.Errorf("the sender charges %v, %v", out.delay, out.drop)
	}
	if in.delay != 0 || in.drop != 0 {
		t.Errorf("the receiver charges again: %v, %v", in.delay, in.drop)
	}
	if foreign.delay != time.Second || foreign.drop != 0.5 {
		t.Errorf("a packet of an undecorated sender is charged %v, %v", foreign.delay, foreign.drop)
	}
}

func TestRulesAddUp(t *testing.T) {
	sw := NewSwitch(nil)
	add(t, sw, Rule{ID: "a", Drop: 0.5, Delay: time.Second})
	add(t, sw, Rule{ID: "b", Drop: 0.5, Delay: 2 * time.Second, Jitter: time.Second})
	f := sw.judge(addr("1.1.1.1:1"), addr("2.2.2.2:2"), sending)
	if f.drop != 0.75 || f.delay < 3*time.Second || f.delay >= 4*time.Second {
		t.Fatalf("drop %v, delay %v", f.drop, f.delay)
	}
}

func TestSwitchMayChangeWhileItJudges(t *testing.T) {
	sw := NewSwitch(nil)
	a, b := addr("1.1.1.1:1"), addr("2.2.2.2:2")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				sw.judge(a, b, sending)
				_ = sw.Add(Rule{ID: "x", Drop: 1})
				sw.Rules()
				sw.Remove("x")
			}
		})
	}
	wg.Wait()
	if len(sw.Rules()) != 0 {
		t.Fatal("a removed rule is still there")
	}
}

func TestJudgingWithoutRulesDoesNotAllocate(t *testing.T) {
	sw := NewSwitch(nil)
	a, b := addr("1.1.1.1:1"), addr("2.2.2.2:2")
	if n := testing.AllocsPerRun(100, func() { sw.judge(a, b, sending) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

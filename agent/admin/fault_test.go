package admin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestCapacityFaultSaysWhatIsLeftAndHowFast(t *testing.T) {
	f := Fault{ID: "a", Kind: FaultCapacity, Region: "eu-1", Share: "40%", Over: "12s", Seconds: 60}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	if share, over := f.Capacity(); share != 0.4 || over != 12*time.Second {
		t.Errorf("%g in %s", share, over)
	}
	f.Over = ""
	if share, over := f.Capacity(); share != 0.4 || over != 0 {
		t.Errorf("at once: %g in %s", share, over)
	}
	for says, spoil := range map[string]func(*Fault){
		"needs share":         func(f *Fault) { f.Share = "" },
		"needs region":        func(f *Fault) { f.Region = "" },
		`share "40"`:          func(f *Fault) { f.Share = "40" },
		`share "NaN%"`:        func(f *Fault) { f.Share = "NaN%" },
		`share "1001%"`:       func(f *Fault) { f.Share = "1001%" },
		`over "11m"`:          func(f *Fault) { f.Over = "11m" },
		"takes no takes":      func(f *Fault) { f.Takes = "1s" },
		"region_outage takes": func(f *Fault) { f.Kind = FaultRegionOutage },
	} {
		bad := f
		spoil(&bad)
		if err := bad.Check(); !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestFaultsOfTheSamePlaceClash(t *testing.T) {
	all := Fault{Kind: FaultCapacity, Region: "eu-1", Share: "10%"}
	one, other := all, all
	one.Service, one.Share = "a", "20%"
	other.Service = "b"
	far := all
	far.Region = "eu-2"
	for _, c := range []struct {
		a, b Fault
		want bool
	}{{all, one, true}, {one, all, true}, {one, one, true}, {one, other, false}, {all, far, false}, {one, Fault{Kind: FaultSlowService, Region: "eu-1", Service: "a"}, false}} {
		if got := c.a.Clashes(&c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a.String(), c.b.String(), got)
		}
	}
}

package policy

import (
	"errors"
	"testing"
	"time"
)

func TestOverrideKindsReadAsTheyAreWritten(t *testing.T) {
	for _, kind := range []OverrideKind{Evacuate, Pin, Freeze} {
		if got, err := ParseOverrideKind(kind.String()); got != kind || err != nil {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "none", "release", "EVACUATE", "override(9)"} {
		if got, err := ParseOverrideKind(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if OverrideKind(9).String() == "" || OverrideKind(0).String() != "none" {
		t.Error("a kind without a name")
	}
}

func TestOverridesEndWhenTheyExpire(t *testing.T) {
	v := &View{Built: planTime, Overrides: map[string]Override{
		"kept":  {Kind: Pin},
		"later": {Kind: Freeze, Expires: planTime.Add(time.Nanosecond)},
		"over":  {Kind: Evacuate, Expires: planTime},
	}}
	for region, want := range map[string]OverrideKind{"kept": Pin, "later": Freeze, "over": 0, "none": 0} {
		if got := v.override(region); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}

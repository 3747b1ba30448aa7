package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/policy"
)

func TestResolveKeepsOrderDropsRepetitionsAndHidesNoFault(t *testing.T) {
	got, err := catalog.Resolve(t.Context(), []string{"127.0.0.2:1", "bad", "[::1]:2", "localhost:3", "127.0.0.2:1", "10.0.0.1:port"})
	got = slices.DeleteFunc(got, func(a string) bool { return a == "[::1]:3" }) // where localhost has it
	if want := []string{"127.0.0.2:1", "[::1]:2", "127.0.0.1:3"}; !slices.Equal(got, want) {
		t.Errorf("resolved %v, want %v", got, want)
	}
	if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), `"bad"`) || !strings.Contains(err.Error(), `"10.0.0.1:port"`) {
		t.Errorf("error %v does not name each bad address", err)
	}
}

func TestResolveSaysWhichNameIsUnknown(t *testing.T) {
	got, err := catalog.Resolve(t.Context(), []string{"no-such-host.invalid:7946", "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "no-such-host.invalid") || !slices.Equal(got, []string{"127.0.0.1:1"}) {
		t.Errorf("resolved %v, error %v", got, err)
	}
}

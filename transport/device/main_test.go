package device

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Examples start agents, and a probe of memberlist may outlive its Shutdown by
	// a timeout.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

package drill

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A probe of memberlist may outlive its Shutdown by a timeout.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

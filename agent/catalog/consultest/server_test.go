package consultest_test

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConsulServerComesBackWithItsDataUnlessEmptied(t *testing.T) {
	a := consultest.Start(t, consultest.Config{DC: "eu-1"})
	b := consultest.Start(t, consultest.Config{DC: "eu-2", Bind: "127.0.1.2"})
	a.JoinWAN(b)
	b.WaitDatacenters("eu-1")
	if _, err := a.Client().KV().Put(&api.KVPair{Key: "k", Value: []byte("v")}, nil); err != nil {
		t.Fatal(err)
	}
	holds := func() bool {
		pair, _, err := a.Client().KV().Get("k", nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair != nil
	}
	addr := a.Addr()
	a.Stop()
	a.Restart()
	if !holds() || a.Addr() != addr {
		t.Errorf("after a restart: data there %v, address %s (was %s)", holds(), a.Addr(), addr)
	}
	a.Pause()
	a.Resume()
	a.WaitLeader()
	a.RestartEmpty()
	if holds() {
		t.Error("an emptied server still has its data")
	}
}

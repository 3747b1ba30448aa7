package catalog_test

import (
	"context"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

// TestConsulDatacenters shares its three servers between the parts: the last
// one loses one of them.
func TestConsulDatacenters(t *testing.T) {
	t.Parallel()
	servers := consultest.Federate(t, "eu-1", "eu-2", "us-1")
	var catalogs []*catalog.Consul
	for i, s := range servers {
		c := observe(t, s, consulConfig(s), "")
		me := catalog.Self{Name: s.DC() + "-a", EdgeAddr: addr(i, "7443"), LANAddr: addr(i, "7946"), WANAddr: addr(i, "7947")}
		if err := c.Register(t.Context(), me); err != nil {
			t.Fatal(err)
		}
		catalogs = append(catalogs, c.Consul)
	}
	eu1 := catalogs[0]
	if err := observe(t, servers[0], consulConfig(servers[0]), "").Register(t.Context(), catalog.Self{
		Name: "eu-1-b", EdgeAddr: ":7543", LANAddr: "[::]:8046", WANAddr: ":8047"}); err != nil {
		t.Fatal(err)
	}

	t.Run("PeersOfEveryDatacenterAreFound", func(t *testing.T) {
		consultest.Eventually(t, soon, "all peers", func() bool {
			lan, wan, err := eu1.Peers(t.Context())
			slices.Sort(wan)
			return err == nil && slices.Equal(lan, []string{"127.0.1.1:8046"}) && slices.Equal(wan, []string{addr(1, "7947"), addr(2, "7947")})
		})
	})
	t.Run("KeyIsWatchedAndWrittenEverywhere", func(t *testing.T) { keyIsWatchedAndWrittenEverywhere(t, catalogs) })

	servers[2].Kill()
	t.Run("LostDatacenterHidesNoOther", func(t *testing.T) {
		_, wan, err := eu1.Peers(t.Context())
		if !slices.Contains(wan, addr(1, "7947")) {
			t.Errorf("WAN peers %v (error %v) miss those of a living datacenter", wan, err)
		}
	})
	t.Run("LostDatacenterIsAStraggler", func(t *testing.T) {
		consultest.Eventually(t, soon, "eu-1 holds us-1 for failed", func() bool { return failedMember(servers[0], "server-us-1.us-1") })
		results, err := eu1.PutAll(t.Context(), "tidegate/policy", []byte("v3"), "eu-1", "named-only")
		if err != nil {
			t.Fatal(err)
		}
		failed := map[string]bool{}
		for _, r := range results {
			failed[r.Datacenter] = r.Err != nil
			t.Logf("%s: %v", r.Datacenter, r.Err)
		}
		if len(results) != 4 || failed["eu-1"] || failed["eu-2"] || !failed["us-1"] || !failed["named-only"] {
			t.Errorf("results %v, want us-1 and the unknown one to fail", results)
		}
		if value, _, err := eu1.GetKV(t.Context(), "tidegate/policy", "eu-2"); string(value) != "v3" || err != nil {
			t.Errorf("eu-2 holds %q (error %v), want v3", value, err)
		}
	})
}

const serfFailed = 4 // as Consul's members API numbers it

func failedMember(s *consultest.Server, name string) bool {
	members, err := s.Client().Agent().Members(true)
	return err == nil && slices.ContainsFunc(members, func(m *api.AgentMember) bool {
		return m.Name == name && m.Status == serfFailed
	})
}

func addr(i int, port string) string { return "127.0.1." + string(rune('1'+i)) + ":" + port }

type found struct {
	value []byte
	index uint64
}

func keyIsWatchedAndWrittenEverywhere(t *testing.T, catalogs []*catalog.Consul) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, ended := make(chan found, 8), make(chan error)
	go func() {
		ended <- catalogs[1].WatchKV(ctx, "tidegate/policy", func(value []byte, index uint64) { seen <- found{value, index} })
	}()
	all := make(chan map[string][]byte, 8)
	go func() {
		ended <- catalogs[1].WatchKVPrefix(ctx, "tidegate/", func(values map[string][]byte, _ uint64) { all <- values })
	}()
	if first := <-seen; first.value != nil {
		t.Errorf("a key that is not there has value %q", first.value)
	}
	if first := <-all; len(first) != 0 {
		t.Errorf("an empty prefix lists %v", first)
	}
	var last uint64
	for _, want := range []string{"v1", "v2"} {
		results, err := catalogs[0].PutAll(t.Context(), "tidegate/policy", []byte(want))
		if err != nil || len(results) != 3 {
			t.Fatalf("PutAll: %v, %v", results, err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Errorf("datacenter %s: %v", r.Datacenter, r.Err)
			}
		}
		got := <-seen
		if string(got.value) != want || got.index <= last {
			t.Errorf("watched %q at index %d after %d, want %q", got.value, got.index, last, want)
		}
		last = got.index
		if got := <-all; string(got["tidegate/policy"]) != want {
			t.Errorf("watched prefix %v, want %q", got, want)
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("watch ended with %v", err)
		}
	}
	if len(seen) != 0 {
		t.Errorf("the watch repeated itself: %v", <-seen)
	}
}

package catalog_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/catalog/consultest"
)

func TestStaticConformance(t *testing.T) { conform(t, &staticSource{}) }

func TestConsulConformance(t *testing.T) {
	t.Parallel()
	conform(t, &consulSource{server: consultest.Start(t, consultest.Config{DC: "eu-1"})})
}

func conform(t *testing.T, src source) {
	for _, c := range []struct {
		promise string
		hold    func(*testing.T, source)
	}{
		{"SnapshotIsThereBeforeAnythingIsKnown", snapshotIsThereBeforeAnythingIsKnown},
		{"HealthyInstanceIsReadyAsListed", healthyInstanceIsReadyAsListed},
		{"SickInstanceIsCriticalUntilItRecovers", sickInstanceIsCriticalUntilItRecovers},
		{"RemovedInstanceIsNotReady", removedInstanceIsNotReady},
		{"OnlyFollowedServicesAppear", onlyFollowedServicesAppear},
		{"UnknownServiceIsFollowedAndEmpty", unknownServiceIsFollowedAndEmpty},
		{"SnapshotInHandNeverChanges", snapshotInHandNeverChanges},
		{"RunEndsWithItsContextAndRunsOnce", runEndsWithItsContextAndRunsOnce},
		{"DeregisterWithoutRegisterIsNoError", deregisterWithoutRegisterIsNoError},
		{"PeersHaveTheConfiguredAddresses", peersHaveTheConfiguredAddresses},
	} {
		t.Run(c.promise, func(t *testing.T) { c.hold(t, src) })
	}
}

func snapshotIsThereBeforeAnythingIsKnown(t *testing.T, src source) {
	c := src.open(t, catalog.Options{})
	if s := c.Snapshot(); s == nil || s.Services == nil {
		t.Fatalf("snapshot before Run: %+v, want an empty one", s)
	}
}

func healthyInstanceIsReadyAsListed(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-1")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "alarms-1 ready", has(b, catalog.Ready))
	i := find(c.Snapshot(), b)
	if i.Service != "alarms" || !slices.Equal(i.Tags, b.tags) || i.Meta["version"] != "2" || !strings.HasSuffix(i.ID, b.id) {
		t.Errorf("instance %+v differs from what was listed", i)
	}
	if s := c.Snapshot(); s.Stale || s.Err != nil || time.Since(s.Updated) > time.Minute {
		t.Errorf("fresh snapshot looks stale: %+v", s)
	}
}

func sickInstanceIsCriticalUntilItRecovers(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-sick")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "ready at first", has(b, catalog.Ready))
	before := c.Snapshot().Index
	b.sick.Store(true)
	await(t, c, "critical when sick", has(b, catalog.Critical))
	b.sick.Store(false)
	await(t, c, "ready when well", has(b, catalog.Ready))
	if after := c.Snapshot().Index; after < before+2 {
		t.Errorf("index went from %d to %d over two changes", before, after)
	}
}

func removedInstanceIsNotReady(t *testing.T, src source) {
	stays, goes := newBackend(t, "alarms", "alarms-stays"), newBackend(t, "alarms", "alarms-goes")
	src.place(t, stays)
	src.place(t, goes)
	defer src.remove(t, stays)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "both ready", func(s *catalog.Snapshot) bool {
		return has(stays, catalog.Ready)(s) && has(goes, catalog.Ready)(s)
	})
	src.remove(t, goes)
	await(t, c, "the removed one is not ready, the other is", func(s *catalog.Snapshot) bool {
		return has(stays, catalog.Ready)(s) && !has(goes, catalog.Ready)(s)
	})
}

func onlyFollowedServicesAppear(t *testing.T, src source) {
	a, b := newBackend(t, "alarms", "alarms-f"), newBackend(t, "bulk", "bulk-f")
	src.place(t, a)
	src.place(t, b)
	defer src.remove(t, a)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "alarms ready", has(a, catalog.Ready))
	if s := c.Snapshot(); len(s.Services) != 1 {
		t.Errorf("services %v, want alarms only", s.Services)
	}
	c.Watch([]string{"alarms", "bulk"})
	await(t, c, "both ready", func(s *catalog.Snapshot) bool { return has(a, catalog.Ready)(s) && has(b, catalog.Ready)(s) })
	drain(c.Changed())
	c.Watch([]string{"bulk", "alarms"})
	select {
	case <-c.Changed():
		t.Error("watching the same services again counts as a change")
	default:
	}
	c.Watch([]string{"bulk"})
	if _, still := c.Snapshot().Services["alarms"]; still {
		t.Error("a service no longer followed is still shown")
	}
}

func unknownServiceIsFollowedAndEmpty(t *testing.T, src source) {
	c := running(t, src.open(t, catalog.Options{}), "nobody")
	await(t, c, "answered", func(s *catalog.Snapshot) bool {
		list, followed := s.Services["nobody"]
		return followed && len(list) == 0 && !s.Stale
	})
}

func snapshotInHandNeverChanges(t *testing.T, src source) {
	b := newBackend(t, "alarms", "alarms-frozen")
	src.place(t, b)
	defer src.remove(t, b)
	c := running(t, src.open(t, catalog.Options{}), "alarms")
	await(t, c, "ready", has(b, catalog.Ready))
	inHand := c.Snapshot()
	b.sick.Store(true)
	await(t, c, "critical", has(b, catalog.Critical))
	if !has(b, catalog.Ready)(inHand) {
		t.Error("a snapshot in hand changed with the world")
	}
}

func runEndsWithItsContextAndRunsOnce(t *testing.T, src source) {
	c := src.open(t, catalog.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v at the end of its context", err)
	}
	if err := c.Run(ctx); !errors.Is(err, catalog.ErrRunning) {
		t.Errorf("second Run returned %v, want ErrRunning", err)
	}
}

func deregisterWithoutRegisterIsNoError(t *testing.T, src source) {
	if err := src.open(t, catalog.Options{}).Deregister(t.Context()); err != nil {
		t.Error(err)
	}
}

func peersHaveTheConfiguredAddresses(t *testing.T, src source) {
	c := src.open(t, catalog.Options{RetryJoin: []string{"127.0.1.9:7946", "localhost:7946"}, RetryJoinWAN: []string{"127.0.1.8:7947", "no port"}})
	lan, wan, err := c.Peers(t.Context())
	if !slices.Contains(lan, "127.0.1.9:7946") || !slices.Contains(lan, "127.0.0.1:7946") || !slices.Contains(wan, "127.0.1.8:7947") {
		t.Errorf("peers lan %v wan %v (error %v) miss configured addresses", lan, wan, err)
	}
	if err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("error %v does not name the bad address", err)
	}
}

package agent_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

func TestDrainFinishesWhatIsInFlightAndTellsEverybody(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte("done"))
	})
	m := startMesh(t, dev.Config{Regions: 2, Agents: 2}, waits)
	device, leaving, fellow := deviceAt(t, m, "eu-1"), m.Regions[0].Agents[0], m.Regions[0].Agents[1]
	got := make(chan string, 1)
	go func() {
		_, body := device.send("POST", "/svc", []byte("x"))
		got <- body
	}()
	<-arrived

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- leaving.Drain(ctx) }()
	eventually(t, "the fellow sees the drain", func() bool {
		for _, member := range fellow.Members().Members {
			if member.Name == leaving.Name {
				return member.Draining
			}
		}
		return false
	})
	if ok, reason := leaving.Ready(); ok || reason != "draining" {
		t.Errorf("ready %v, %q while draining", ok, reason)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained with a request in flight: %v", err)
	default:
	}
	close(release)
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if body := <-got; body != "done" {
		t.Errorf("the request in flight got %q", body)
	}
}

func TestDrainCanBeTakenBack(t *testing.T) {
	m := startMesh(t, dev.Config{Regions: 1, Agents: 1}, nil)
	agent := m.Regions[0].Agents[0]
	if answer := agent.SetDraining(t.Context(), true, 0); !answer.Draining {
		t.Error("not draining")
	}
	if ok, _ := agent.Ready(); ok {
		t.Error("ready while draining")
	}
	resp, _ := deviceAt(t, m, "eu-1").send("POST", "/svc", []byte("x"))
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a drain refuses what can still be served: status %d", resp.StatusCode)
	}
	agent.SetDraining(t.Context(), false, 0)
	if ok, reason := agent.Ready(); !ok {
		t.Errorf("not ready after the drain was taken back: %s", reason)
	}
}

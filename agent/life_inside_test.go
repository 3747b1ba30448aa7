package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tidegate/tidegate/agent/config"
)

func TestAgentWaitsForTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		late := func() (*Agent, error) {
			if tries++; tries < 3 {
				return nil, config.ErrNoAddress
			}
			return &Agent{}, nil
		}
		if a, err := onceThereIsNetwork(t.Context(), nil, late); a == nil || err != nil || tries != 3 {
			t.Errorf("agent %v, %v after %d tries", a, err, tries)
		}
		other := errors.New("another")
		if _, err := onceThereIsNetwork(t.Context(), nil, func() (*Agent, error) { return nil, other }); err != other {
			t.Errorf("another error became %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if a, err := onceThereIsNetwork(ended, nil, func() (*Agent, error) { return nil, config.ErrNoAddress }); a != nil || err != nil {
			t.Errorf("ended while waiting: %v, %v", a, err)
		}
	})
}

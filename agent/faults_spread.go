package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/inject"
	"github.com/tidegate/tidegate/transport"
)

// spreadLimit bounds how long another agent may take to begin or end a fault.
const spreadLimit = 3 * time.Second

// spread begins a fault at all other agents. Those that it does not concern may be
// away; where another one fails, it ends at those that took it.
func (f *faults) spread(ctx context.Context, in *admin.Fault) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	took, failed := f.tellAll(ctx, f.others(), http.MethodPost, admin.PathFaults, raw)
	var bad []error
	for m, err := range failed {
		if m.State == "alive" && inject.Concerns(in, m.Name, m.Region) {
			bad = append(bad, err)
			continue
		}
		f.agent.log.Warn("a fault is not known everywhere", "id", in.ID, "error", err)
	}
	if len(bad) > 0 {
		f.tellAll(context.WithoutCancel(ctx), took, http.MethodDelete, pathOf(in.ID), nil)
	}
	return errors.Join(bad...)
}

func pathOf(id string) string { return admin.PathFaults + "/" + url.PathEscape(id) }

// others are all agents known but this one.
func (f *faults) others() []admin.Member {
	return slices.DeleteFunc(f.agent.Members().Members, func(m admin.Member) bool { return m.Name == f.agent.cfg.Name })
}

// tellAll asks agents the same, at once.
func (f *faults) tellAll(ctx context.Context, agents []admin.Member, method, path string, body []byte) (took []admin.Member, failed map[admin.Member]error) {
	ctx, cancel := context.WithTimeout(ctx, spreadLimit)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex // guards took and failed
	failed = map[admin.Member]error{}
	for _, m := range agents {
		all.Go(func() {
			err := f.tell(ctx, &m, method, path, body)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[m] = err
				return
			}
			took = append(took, m)
		})
	}
	all.Wait()
	return took, failed
}

// tell asks one agent, on a connection of its own.
func (f *faults) tell(ctx context.Context, m *admin.Member, method, path string, body []byte) error {
	host, _, err := net.SplitHostPort(m.MeshAddr)
	if err != nil {
		return fmt.Errorf("agent %s: %w", m.Name, err)
	}
	want := transport.Peer{TrustDomain: f.agent.self.TrustDomain, Region: m.Region, Agent: m.Name}
	t := &http.Transport{TLSClientConfig: f.agent.mesh.ClientTLS(want, "http/1.1"), DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	target := url.URL{Scheme: "https", Host: net.JoinHostPort(host, f.port)}
	req, err := http.NewRequestWithContext(ctx, method, target.String()+path, bytes.NewReader(body)) // path is escaped
	if err != nil {
		return err
	}
	req.Header.Set(admin.HeaderOperator, f.agent.cfg.Fault.Token.Reveal())
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("agent %s takes no faults at %s: %w: does it have fault { enabled = true }?", m.Name, target.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK || method == http.MethodDelete && resp.StatusCode == http.StatusNotFound {
		return nil
	}
	var p admin.Problem
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p)
	return fmt.Errorf("agent %s: %w: %s", m.Name, kindOf(resp.StatusCode), p.Detail)
}

// kindOf a refusal by another agent.
func kindOf(status int) error {
	switch status {
	case http.StatusConflict:
		return admin.ErrConflict
	case http.StatusUnauthorized:
		return errOperator
	}
	return errControl
}

var errOperator = errors.New("it has another operator token")

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/tidegate/tidegate/agent/presence"
	"github.com/tidegate/tidegate/transport"
)

// What one agent asks of another about devices, by the header that names it. A
// body, if any, is JSON, both ways.
const (
	controlClaim    = "claim"    // []presence.Claims of a fellow to the home: []presence.Loss
	controlLose     = "lose"     // []presence.Loss of the home to a fellow
	controlFind     = "find"     // findRequest: found
	controlDeliver  = "deliver"  // deliverRequest: deliverAnswer
	controlSessions = "sessions" // sessionsRequest: []admin.DeviceSession

)

// controlMost bounds a body, in bytes: claims of claimsMost devices, or a command.
const controlMost = 4 << 20

var (
	errUnreachable = errors.New("not every agent could be asked")
	errControl     = errors.New("the agent did not do what it was asked")
)

// fellow returns the live tunnel to an agent of this region, nil where there is
// none.
func (a *Agent) fellow(name string) *transport.Tunnel {
	return a.mesh.Tunnel(transport.Peer{TrustDomain: a.self.TrustDomain, Region: a.self.Region, Agent: name})
}

// ask has another agent do something, and reads its answer into out, unless that
// is nil.
func (a *Agent) ask(ctx context.Context, t *transport.Tunnel, what string, in, out any) error {
	if t == nil {
		return fmt.Errorf("ask to %s: %w: no live tunnel", what, errUnreachable)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: t.Peer().Agent, Path: "/"}, Host: t.Peer().Agent,
		Header: http.Header{transport.HeaderControl: {what}}, ContentLength: int64(len(raw)),
		Body: io.NopCloser(bytes.NewReader(raw)), GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
	}
	resp, err := t.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("ask %s to %s: %w", t.Peer().Agent, what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s to %s: %w: status %d", t.Peer().Agent, what, errControl, resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(resp.Body, controlMost)).Decode(out)
}

// serveControl does what another agent asks for. What concerns the book of homes
// is for agents of the same region alone.
func (a *Agent) serveControl(w http.ResponseWriter, r *http.Request, peer transport.Peer) {
	d, ctx := a.devices, r.Context()
	fellow := peer.Region == a.cfg.Region
	switch what := r.Header.Get(transport.HeaderControl); {
	case what == controlClaim && fellow:
		control(w, r, func(all []presence.Claims) (any, error) { return d.enter(peer.Agent, all), nil })
	case what == controlLose && fellow:
		control(w, r, func(all []presence.Loss) (any, error) { d.lose(all); return nil, nil })
	case what == controlFind:
		control(w, r, func(ask findRequest) (any, error) { return d.answerFind(ctx, ask), nil })
	case what == controlDeliver:
		control(w, r, func(ask deliverRequest) (any, error) { return d.deliverHere(ctx, ask) })
	case what == controlSessions:
		control(w, r, func(ask sessionsRequest) (any, error) { return d.sessionsHere(ctx, ask) })
	default:
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest, Detail: "not for this agent to do"})
	}
}

// control reads a question, has it answered, and writes the answer.
func control[T any](w http.ResponseWriter, r *http.Request, answer func(T) (any, error)) {
	var in T
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, controlMost)).Decode(&in); err != nil {
		writeProblem(w, problem{Status: http.StatusBadRequest, Reason: reasonBadRequest, Detail: "the body is not what was announced"})
		return
	}
	out, err := answer(in)
	if err != nil {
		writeProblem(w, problem{Status: http.StatusBadGateway, Reason: reasonMeshLost, Detail: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

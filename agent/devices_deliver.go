package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/policy"
	"github.com/tidegate/tidegate/transport"
)

// deliverRequest asks the agent of a device, or one of its region, to deliver a
// command.
type deliverRequest struct {
	Device      string `json:"device"`
	Agent       string `json:"agent"` // that has the device
	Service     string `json:"service,omitempty"`
	Allowed     bool   `json:"allowed,omitempty"` // was checked against the policy before
	ID          string `json:"id"`
	Topic       string `json:"topic"`
	ContentType string `json:"content_type,omitempty"`
	Payload     []byte `json:"payload,omitempty"`
	ExpiresMS   int64  `json:"expires_ms"` // from now
	WaitMS      int64  `json:"wait_ms"`    // for the device's acknowledgement
}

func (r *deliverRequest) command() *transport.Command {
	return &transport.Command{
		ID: r.ID, Topic: r.Topic, ContentType: r.ContentType, Payload: r.Payload,
		Expires: time.Now().Add(time.Duration(r.ExpiresMS) * time.Millisecond),
	}
}

type deliverAnswer struct {
	State  transport.DeliveryState `json:"state"`
	Reason string                  `json:"reason,omitempty"`
	Agent  string                  `json:"agent,omitempty"`
	Region string                  `json:"region,omitempty"`
}

// deliver finds the device of a command and gives it to it. An error says that
// nobody knows what became of it, or that not everybody could be asked.
func (d *devices) deliver(ctx context.Context, req deliverRequest) (deliverAnswer, error) {
	f := d.find(ctx, req.Device)
	last := deliverAnswer{State: transport.Unknown}
	for _, place := range f.Places {
		answer, err := d.deliverTo(ctx, place, req)
		if err != nil {
			return answer, err
		}
		if answer.State < transport.Unsubscribed {
			return answer, nil
		}
		last.State, last.Reason = min(last.State, answer.State), answer.Reason
	}
	if len(f.Missing) > 0 {
		return last, fmt.Errorf("%w: the device was not found, and these gave no answer: %v", errUnreachable, f.Missing)
	}
	return last, nil
}

// deliverTo gives a command to the agent of a place, over one border at most.
func (d *devices) deliverTo(ctx context.Context, p devicePlace, req deliverRequest) (deliverAnswer, error) {
	req.Agent = p.Agent
	if p.Region == d.agent.cfg.Region {
		return d.deliverHere(ctx, req)
	}
	return d.sendOn(ctx, d.agent.pickTunnel(p.Region, ""), req)
}

// deliverHere gives a command to an agent of this region.
func (d *devices) deliverHere(ctx context.Context, req deliverRequest) (deliverAnswer, error) {
	if req.Agent != d.agent.cfg.Name {
		return d.sendOn(ctx, d.agent.fellow(req.Agent), req)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.WaitMS)*time.Millisecond)
	defer cancel()
	got := d.deliverOwn(ctx, &req)
	d.agent.metrics.commands.WithLabelValues(got.State.String()).Inc()
	return deliverAnswer{got.State, got.Reason, d.agent.cfg.Name, d.agent.cfg.Region}, nil
}

// answerGrace is how much longer than the device an agent is waited for.
const answerGrace = time.Second

func (d *devices) sendOn(ctx context.Context, t *transport.Tunnel, req deliverRequest) (answer deliverAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.WaitMS)*time.Millisecond+answerGrace)
	defer cancel()
	err = d.agent.ask(ctx, t, controlDeliver, req, &answer)
	return answer, err
}

// deliverOwn gives a command to a session here, the best one first.
func (d *devices) deliverOwn(ctx context.Context, req *deliverRequest) transport.Delivery {
	last := transport.Delivery{State: transport.Unknown}
	cmd := req.command()
	for _, s := range d.sessions(req.Device) {
		h := d.holder(s.Protocol)
		device, ok := h.Device(req.Device)
		if !ok {
			continue
		}
		if refused := d.mayCommand(device, req); refused != "" {
			return transport.Delivery{State: transport.Denied, Reason: refused}
		}
		req.Allowed = true
		got := h.Deliver(ctx, req.Device, cmd)
		if got.State < transport.Unsubscribed {
			return got
		}
		last.State = min(last.State, got.State)
	}
	return last
}

// mayCommand says why the policy does not let a service send a device a command.
func (d *devices) mayCommand(device policy.Device, req *deliverRequest) (refused string) {
	p := d.agent.view.Load().Policy
	if req.Allowed || p == nil {
		return ""
	}
	m := &policy.Message{Method: policy.MethodCommand, Path: policy.TopicPath(req.Topic), Device: device, Service: req.Service}
	v := p.Access(m, nil)
	if v.Failed > 0 {
		d.agent.metrics.failed.Add(float64(v.Failed))
	}
	if v.Audit != "" {
		d.agent.metrics.audited.WithLabelValues(v.Audit).Inc()
	}
	if !v.Allowed {
		return reasonAccess
	}
	if d.agent.rates.Take(time.Now(), v.Limits, &m.Device) > 0 {
		return reasonRate
	}
	return ""
}

const (
	handOverTries = 20
	handOverEvery = 500 * time.Millisecond
)

// handOver sends on commands whose session ended here, until a newer session of
// the device takes them.
func (d *devices) handOver(device string, left []*transport.Command) {
	d.agent.spawn(func() {
		for _, cmd := range left {
			d.handOverOne(device, cmd)
		}
	})
}

func (d *devices) handOverOne(device string, cmd *transport.Command) {
	req := deliverRequest{Device: device, Allowed: true, ID: cmd.ID, Topic: cmd.Topic, ContentType: cmd.ContentType, Payload: cmd.Payload}
	for range handOverTries {
		req.ExpiresMS = time.Until(cmd.Expires).Milliseconds()
		req.WaitMS = min(req.ExpiresMS, handOverEvery.Milliseconds())
		if req.ExpiresMS <= 0 {
			return
		}
		if answer, err := d.deliver(d.agent.life, req); err == nil && answer.State < transport.Overfull {
			return
		}
		select {
		case <-d.agent.life.Done():
			return
		case <-time.After(handOverEvery):
		}
	}
}

func (d *devices) holder(protocol string) holder {
	if protocol == transport.ProtocolHTTP {
		return d.agent.events
	}
	return d.agent.mqtt
}

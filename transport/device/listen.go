package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Commands over HTTP:
//
//	GET /.tidegate/messages?client=C&epoch=N&filter=F&filter=G
//	Accept: text/event-stream
//
// is answered with events: "message", a command in JSON, whose id is the
// delivery's; "leave", the agent's wish that the device goes, in JSON as well;
// and comments as signs of life. A command is acknowledged by
//
//	POST /.tidegate/messages/ID[?refused=REASON]

// streamSilence is how long nothing may come on the stream of commands: agents
// send something every 20 s.
const streamSilence = time.Minute

// Pauses before commands are asked for again.
const (
	listenBase = 500 * time.Millisecond
	listenMost = 30 * time.Second
)

// listen asks for commands until the link ends.
func (s *httpSpeaker) listen() {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := s.stream()
		if s.life.Err() != nil {
			return
		}
		if errors.Is(err, ErrSubscription) {
			s.link.subscribed(err)
		}
		if time.Since(began) > listenMost {
			attempt = 0
		}
		if !sleep(s.life, fullJitter(attempt, listenBase, listenMost)) {
			return
		}
	}
}

// stream takes commands until the stream ends.
func (s *httpSpeaker) stream() error {
	ctx, cancel := context.WithCancel(s.life)
	defer cancel()
	quiet := time.AfterFunc(streamSilence, cancel)
	defer quiet.Stop()
	u := s.base
	u.Path = pathMessages
	u.RawQuery = url.Values{
		"client": {s.link.client.name}, "epoch": {strconv.FormatUint(s.epoch, 10)}, "filter": s.link.client.cfg.Commands,
	}.Encode()
	req := s.request(ctx, http.MethodGet, &u, nil)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := s.web.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := listenError(resp); err != nil {
		return err
	}
	s.link.subscribed(nil)
	events := newEventReader(resp.Body, func() { quiet.Reset(streamSilence) })
	for {
		event, err := events.next()
		if err != nil {
			return err
		}
		if err := s.happened(event); err != nil {
			return err
		}
	}
}

// listenError tells a refusal from what may be different soon.
func listenError(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	why := errors.New(problem(resp, body))
	if resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusTooManyRequests {
		return fmt.Errorf("%w: %w", ErrSubscription, why)
	}
	return why
}

func (s *httpSpeaker) happened(e event) error {
	switch e.name {
	case "message":
		return s.command(e)
	case "leave":
		w, err := parseLeave(e.data)
		if err != nil {
			return err
		}
		s.link.leave(w)
	}
	return nil
}

func (s *httpSpeaker) command(e event) error {
	cmd, err := parseCommand(e)
	if err != nil {
		return err
	}
	o := order{cmd, func(err error) { s.link.client.working.Go(func() { s.acknowledge(e.id, err) }) }}
	select {
	case s.link.client.orders <- o:
	case <-s.life.Done():
	}
	return nil
}

// parseCommand reads the data of a "message".
func parseCommand(e event) (Command, error) {
	var wire struct {
		Topic       string            `json:"topic"`
		ContentType string            `json:"content_type"`
		Payload     []byte            `json:"payload"`
		Properties  map[string]string `json:"properties"`
	}
	if err := json.Unmarshal(e.data, &wire); err != nil {
		return Command{}, fmt.Errorf("command %.80q: %w", e.id, err)
	}
	cmd := Command{ID: e.id, Topic: wire.Topic, ContentType: wire.ContentType, Payload: wire.Payload, Properties: wire.Properties}
	if id := cmd.Properties[propertyID]; id != "" {
		delete(cmd.Properties, propertyID)
		cmd.ID = id
	}
	return cmd, nil
}

// parseLeave reads the data of a "leave".
func parseLeave(data []byte) (farewell, error) {
	var wire struct {
		Server  string `json:"server"`
		RetryMS int64  `json:"retry_ms"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return farewell{}, fmt.Errorf("leave: %w", err)
	}
	const most = time.Hour
	pause := time.Duration(min(max(wire.RetryMS, 0), most.Milliseconds())) * time.Millisecond
	return farewell{why: ErrLeaving, server: wire.Server, pause: pause}, nil
}

// acknowledge tells the agent what became of a command. When that does not
// arrive the command comes again.
func (s *httpSpeaker) acknowledge(id string, refused error) {
	ctx, cancel := context.WithTimeout(s.life, s.link.client.cfg.AckTimeout)
	defer cancel()
	u := s.base
	u.Path, u.RawPath = pathMessages+"/"+id, pathMessages+"/"+url.PathEscape(id)
	if refused != nil {
		u.RawQuery = url.Values{"refused": {clip(refused.Error(), 256)}}.Encode()
	}
	resp, err := s.web.RoundTrip(s.request(ctx, http.MethodPost, &u, nil))
	if err != nil {
		s.link.client.cfg.Logger.Debug("a command was not acknowledged", "id", id, "error", err)
		return
	}
	_ = resp.Body.Close()
}

package device

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Client is a device's side of the mesh. Its methods may be called
// concurrently.
//
// One goroutine, run, owns the connections, the order of what is to be sent and
// what is known of endpoints; everybody else gives it work by do.
type Client struct {
	cfg     Config
	keeper  keeper
	dialer  dialer
	name    string // MQTT's client identifier
	state   atomic.Pointer[State]
	orders  chan order // to the handler
	wake    chan struct{}
	stopped chan struct{} // closed when run has returned

	life    context.Context // ends with Close
	end     context.CancelFunc
	working sync.WaitGroup // everything but run
	closing sync.Once
	closed  error

	mu       sync.Mutex // guards what follows
	todo     []func()
	seq      uint64
	messages int // in the outbox
	bytes    int
	shut     bool          // Close was called
	empty    chan struct{} // closed when the outbox gets empty; nil: nobody waits

	itinerant // the loop's own
}

// Open starts a client. It returns at once, before there is a connection;
// messages that an earlier life left in the outbox's file are sent first.
// Errors are of kind ErrConfig or ErrOutbox.
func Open(cfg Config) (*Client, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, wake: make(chan struct{}, 1), stopped: make(chan struct{}), keeper: &volatile{}}
	c.itinerant = newItinerant(&c.cfg)
	if err := c.openOutbox(); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.keeper.close())
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.state.Store(&State{Phase: Connecting, Since: time.Now()})
	if cfg.Handler != nil {
		c.orders = make(chan order, commandsAtOnce)
		c.working.Go(c.obey)
	}
	go c.run()
	return c, nil
}

func (c *Client) openOutbox() error {
	if c.cfg.Outbox == "" {
		return nil
	}
	file, kept, err := openDurable(c.cfg.Outbox)
	if err != nil {
		return err
	}
	c.keeper = file
	for _, e := range kept {
		c.seq = e.seq
		c.messages++
		c.bytes += e.size
		c.lanes.add(e)
	}
	return nil
}

func (c *Client) prepare() (err error) {
	if c.name = c.cfg.ClientID; c.name == "" {
		if c.name, err = c.keeper.client(); err != nil {
			return err
		}
	}
	c.dialer, err = newDialer(&c.cfg)
	return err
}

// Publish keeps a message in the outbox and waits until a service has it: then
// it returns nil. It returns an error of kind ErrRefused or ErrExpired when no
// service ever will, ErrInvalid, ErrFull or ErrOutbox when nothing was kept, and
// the context's error when that ends first; the message then stays in the
// outbox and is sent all the same. After ErrClosed it is in the outbox's file,
// where there is one.
//
// What is refused for overload is sent again after the time that the agent
// asks for, what failed after a growing one; meanwhile what comes after it on
// the same topic waits.
func (c *Client) Publish(ctx context.Context, m Message) error {
	e, err := c.keep(m, make(chan error, 1))
	if err != nil {
		return err
	}
	select {
	case err = <-e.done:
	case <-ctx.Done():
		err = fmt.Errorf("no acknowledgement yet, it stays in the outbox: %w", ctx.Err())
	case <-c.stopped:
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("publish %s on %s: %w", e.id, e.topic, err)
	}
	return nil
}

// Enqueue keeps a message in the outbox and returns its id without waiting for a
// service: in the outbox's file it is safe by then. Config.Settled tells what
// becomes of it. Errors are of kind ErrInvalid, ErrFull, ErrOutbox or ErrClosed.
func (c *Client) Enqueue(m Message) (id string, err error) {
	e, err := c.keep(m, nil)
	if err != nil {
		return "", err
	}
	return e.id, nil
}

func (c *Client) keep(m Message, done chan error) (*entry, error) {
	msg, err := m.complete(c.cfg.MaxPayload)
	if err != nil {
		return nil, err
	}
	e := &entry{id: msg.ID, topic: msg.Topic, size: msg.size(), expires: msg.Expires, done: done}
	if err := c.admit(e); err != nil {
		return nil, fmt.Errorf("publish %s on %s: %w", e.id, e.topic, err)
	}
	if err := c.keeper.put(e, msg); err != nil {
		c.discharge(e)
		return nil, fmt.Errorf("publish %s on %s: %w", e.id, e.topic, err)
	}
	c.do(func() { c.lanes.add(e) })
	return e, nil
}

// admit gives a message its place in the outbox.
func (c *Client) admit(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
		return ErrClosed
	case c.messages >= c.cfg.OutboxMessages:
		return fmt.Errorf("%w: %d messages wait (OutboxMessages)", ErrFull, c.messages)
	case c.bytes+e.size > c.cfg.OutboxBytes:
		return fmt.Errorf("%w: %d bytes wait, this one has %d, at most %d (OutboxBytes)", ErrFull, c.bytes, e.size, c.cfg.OutboxBytes)
	}
	c.seq++
	e.seq = c.seq
	c.messages++
	c.bytes += e.size
	return nil
}

// discharge gives the place back.
func (c *Client) discharge(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages--
	c.bytes -= e.size
	if c.messages == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// Flush waits until the outbox is empty, or returns the context's error, or
// ErrClosed.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	if c.messages == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d messages wait in the outbox: %w", c.State().Queued, ctx.Err())
	case <-c.stopped:
		return ErrClosed
	}
}

// Close takes no more messages, waits until the outbox is empty or the context
// ends, and ends the connection. What is left stays in the outbox's file; where
// there is none it is lost, and Close returns an error that says how many. A
// second Close returns the same.
func (c *Client) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.mu.Lock()
		c.shut = true
		c.mu.Unlock()
		left := c.Flush(ctx)
		c.end()
		<-c.stopped
		c.working.Wait()
		c.closed = errors.Join(c.keeper.close(), c.dialer.close())
		if left != nil && c.cfg.Outbox == "" {
			c.closed = errors.Join(fmt.Errorf("close: lost, there is no outbox file: %w", left), c.closed)
		}
	})
	return c.closed
}

// Phase is what a client is doing about its connection.
type Phase string

// The phases.
const (
	Connecting Phase = "connecting" // endpoints are being tried
	Connected  Phase = "connected"
	Waiting    Phase = "waiting" // before the next round through the endpoints
	Closed     Phase = "closed"
)

// State is what a client knows of itself.
type State struct {
	Phase    Phase
	Endpoint Endpoint      // Connected: where
	Wire     string        // Connected: quic or tcp
	RTT      time.Duration // Connected: as measured when the connection began
	Since    time.Time     // of this phase and endpoint
	// Err is why there is no connection, or why the last one ended; of kind
	// ErrSubscription while commands are not offered.
	Err    error
	Queued int // messages in the outbox, under way or not
	Bytes  int // that they take, nearly
}

// State returns the state of this moment.
func (c *Client) State() State {
	s := *c.state.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Queued, s.Bytes = c.messages, c.bytes
	return s
}

// do has the loop do something. After Close nothing is done any more.
func (c *Client) do(f func()) {
	c.mu.Lock()
	c.todo = append(c.todo, f)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) work() []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	todo := c.todo
	c.todo = nil
	return todo
}

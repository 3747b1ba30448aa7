package device

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

func TestWhatBecomesOfAMessage(t *testing.T) {
	w := newTown(t)
	for name, c := range map[string]struct {
		codes []byte // of acknowledgements, one after the other
		kind  error
		sent  int
	}{
		"accepted":                  {[]byte{0x00}, nil, 1},
		"accepted, nobody listens":  {[]byte{0x10}, nil, 1},
		"not allowed":               {[]byte{0x87}, ErrRefused, 1},
		"no such topic":             {[]byte{0x90}, ErrRefused, 1},
		"wrong payload":             {[]byte{0x99}, ErrRefused, 1},
		"busy, then accepted":       {[]byte{0x97, 0x00}, nil, 2},
		"failed twice, then not":    {[]byte{0x80, 0x80, 0x00}, nil, 3},
		"failed, then not allowed":  {[]byte{0x80, 0x87}, ErrRefused, 2},
		"implementation's own word": {[]byte{0x83}, ErrRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.broker(t, script{publish: func(n int, p *packets.Publish, _ func(encoder)) *packets.Puback { return puback0(p, c.codes[n-1]) }})
			cfg := w.quick(b)
			var told []error
			cfg.Settled = func(m Message, err error) { told = append(told, err) }
			client := open(t, cfg)
			err := client.Publish(within(t), Message{ID: "m", Topic: "t", Payload: []byte("x"), ContentType: "text/plain", Properties: map[string]string{"k": "v"}})
			if !errors.Is(err, c.kind) || (err == nil) != (c.kind == nil) {
				t.Errorf("got %v", err)
			}
			if c.kind != nil && !strings.Contains(err.Error(), "because") {
				t.Errorf("no reason in %v", err)
			}
			if got := b.ids(); len(got) != c.sent || slices.ContainsFunc(got, func(id string) bool { return id != "m" }) {
				t.Errorf("sent %v", got)
			}
			if s := client.State(); s.Queued != 0 || s.Bytes != 0 {
				t.Errorf("state %+v", s)
			}
			shut(client)
			if len(told) != 1 || !errors.Is(told[0], c.kind) {
				t.Errorf("told %v", told)
			}
			p := b.sent(0)
			if p.Topic != "t" || string(p.Payload) != "x" || p.QoS != 1 || p.Properties.ContentType != "text/plain" || p.Properties.User[1] != (packets.User{Key: "k", Value: "v"}) {
				t.Errorf("sent %+v", p)
			}
		})
	}
}

// A message whose acknowledgement does not come goes to the next region, by the
// same id, and what waits goes after it.
func TestASilentRegionIsLeftAndNothingIsLost(t *testing.T) {
	w := newTown(t)
	for _, noUDP := range []bool{false, true} {
		var mute [2]atomic.Bool
		var brokers [2]*broker
		for i := range brokers {
			brokers[i] = w.broker(t, script{publish: func(_ int, p *packets.Publish, _ func(encoder)) *packets.Puback {
				if mute[i].Load() {
					return nil
				}
				return puback0(p, 0)
			}})
		}
		cfg := w.quick(brokers[:]...)
		cfg.NoUDP, cfg.AckTimeout = noUDP, time.Second // pings are answered: only the acknowledgement is missing
		client := open(t, cfg)
		if err := client.Publish(within(t), Message{ID: "first", Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		at, elsewhere := 0, 1
		if len(brokers[0].ids()) == 0 {
			at, elsewhere = 1, 0
		}
		mute[at].Store(true)
		for i := range 3 {
			if _, err := client.Enqueue(Message{ID: fmt.Sprint(i), Topic: "t"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(brokers[at].ids(), brokers[elsewhere].ids()); got != "[first 0] [0 1 2]" {
			t.Errorf("without UDP %v: %s", noUDP, got)
		}
	}
}

func TestAnAgentThatEndsIsLeftAtOnce(t *testing.T) {
	w := newTown(t)
	a, b := w.broker(t, script{}), w.broker(t, script{})
	client := open(t, w.quick(a, b))
	await(t, "a connection", func() bool { return client.State().Phase == Connected })
	time.Sleep(shortLived) // it held
	first, other := a, b
	if client.State().Endpoint.Addr == b.addr {
		first, other = b, a
	}
	cut := time.Now()
	first.cut()
	await(t, "the other one", func() bool { return client.State().Endpoint.Addr == other.addr })
	if took := time.Since(cut); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestTheAgentsWordIsFollowed(t *testing.T) {
	w := newTown(t)
	third := w.broker(t, script{})
	for name, c := range map[string]struct {
		leave packets.Disconnect
		to    *broker // nil: another one
	}{
		"use another server":     {packets.Disconnect{ReasonCode: packets.DisconnectUseAnotherServer, Properties: &packets.Properties{ServerReference: third.addr}}, third},
		"server moved":           {packets.Disconnect{ReasonCode: packets.DisconnectServerMoved, Properties: &packets.Properties{ServerReference: "127.0.0.1:1 " + third.addr}}, third},
		"shutting down":          {packets.Disconnect{ReasonCode: packets.DisconnectServerShuttingDown, Properties: &packets.Properties{}}, nil},
		"use another, any other": {packets.Disconnect{ReasonCode: packets.DisconnectUseAnotherServer, Properties: &packets.Properties{}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var left atomic.Int32 // 1 + the one that was left
			var brokers [2]*broker
			for i := range brokers {
				brokers[i] = w.broker(t, script{publish: func(_ int, p *packets.Publish, say func(encoder)) *packets.Puback {
					if left.CompareAndSwap(0, int32(i+1)) {
						say(&c.leave)
						return nil
					}
					return puback0(p, 0)
				}})
			}
			client := open(t, w.quick(brokers[:]...))
			if err := client.Publish(within(t), Message{ID: "m", Topic: "t"}); err != nil {
				t.Fatal(err)
			}
			at := client.State().Endpoint.Addr
			if was := brokers[left.Load()-1].addr; c.to != nil && at != c.to.addr || at == was {
				t.Errorf("at %s, was at %s", at, was)
			}
		})
	}
}

func TestTheAgentsWordIsHeardAlthoughItStoppedReadingFirst(t *testing.T) {
	w := newTown(t)
	other := w.broker(t, script{})
	hushed := make(chan struct{})
	var b *broker
	b = w.broker(t, script{publish: func(int, *packets.Publish, func(encoder)) *packets.Puback { return nil }, greet: func(say func(encoder)) {
		go func() {
			<-hushed
			b.hush()
			time.Sleep(wordTime / 3) // the device notices that nothing is read
			say(&packets.Disconnect{ReasonCode: packets.DisconnectUseAnotherServer, Properties: &packets.Properties{ServerReference: other.addr}})
		}()
	}})
	cfg := w.quick(b)
	cfg.NoTCP = true
	client := open(t, cfg)
	await(t, "a connection", func() bool { return client.State().Phase == Connected })
	close(hushed)
	for n := range 20 { // more than one is written to an agent that does not read
		if _, err := client.Enqueue(Message{Topic: fmt.Sprint("t", n)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wordTime / 50)
	}
	await(t, "the agent that was named", func() bool { return client.State().Endpoint.Addr == other.addr })
}

// Two devices with one identity do not throw each other out for ever.
func TestATakenOverDeviceStaysAway(t *testing.T) {
	w := newTown(t)
	b := w.broker(t, script{greet: func(say func(encoder)) {
		say(&packets.Disconnect{ReasonCode: packets.DisconnectSessionTakenOver, Properties: &packets.Properties{}})
	}})
	client := open(t, w.quick(b))
	await(t, "the news", func() bool { return errors.Is(client.State().Err, ErrTakenOver) })
	time.Sleep(500 * time.Millisecond)
	if n := b.connected(); n != 1 {
		t.Errorf("connected %d times", n)
	}
	if s := client.State(); s.Phase != Waiting {
		t.Errorf("state %+v", s)
	}
}

func TestRefusedCredentialsAreReportedAndTriedAgain(t *testing.T) {
	w := newTown(t)
	var asked atomic.Int32
	b := w.broker(t, script{connect: func(n int, p *packets.Connect) *packets.Connack {
		answer := &packets.Connack{Properties: &packets.Properties{}}
		if string(p.Password) != "good" {
			answer.ReasonCode = packets.ConnackBadUsernameOrPassword
		}
		return answer
	}})
	cfg := w.quick(b)
	cfg.NoTCP = true
	var reported atomic.Bool
	cfg.OnState = func(s State) {
		if errors.Is(s.Err, ErrCredentials) {
			reported.Store(true)
		}
	}
	cfg.Refresh = func(context.Context) (Credentials, error) {
		if asked.Add(1) < 3 {
			return Credentials{Token: "stale"}, nil
		}
		return Credentials{Token: "good"}, nil
	}
	client := open(t, cfg)
	if err := client.Publish(within(t), Message{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	if n := b.connected(); n != 3 || !reported.Load() {
		t.Errorf("connected %d times, reported %v", n, reported.Load())
	}
}

// UDP that leads nowhere is noticed, and not waited for the next time.
func TestTCPIsUsedWhereUDPIsBlocked(t *testing.T) {
	w := newTown(t)
	b := w.broker(t, script{})
	_ = b.udp.Close() // nothing answers any more
	client := open(t, w.quick(b))
	if err := client.Publish(within(t), Message{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	if s := client.State(); s.Wire != "tcp" {
		t.Fatalf("state %+v", s)
	}
	time.Sleep(shortLived)
	cut := time.Now()
	b.cut()
	await(t, "the connection again", func() bool { return b.connected() == 2 })
	if took := time.Since(cut); took > 250*time.Millisecond {
		t.Errorf("took %s: QUIC was waited for", took)
	}
}

func TestAnOutboxIsSentAfterAReboot(t *testing.T) {
	w := newTown(t)
	mute := w.broker(t, script{publish: func(int, *packets.Publish, func(encoder)) *packets.Puback { return nil }})
	cfg := w.quick(mute)
	cfg.Outbox = filepath.Join(t.TempDir(), "outbox")
	client := open(t, cfg)
	for i := range 3 {
		if _, err := client.Enqueue(Message{ID: fmt.Sprint(i), Topic: "t", Payload: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the first to be sent", func() bool { return len(mute.ids()) > 0 })
	shut(client)
	good := w.broker(t, script{})
	cfg.Endpoints = w.quick(good).Endpoints
	var told atomic.Int32
	cfg.Settled = func(m Message, err error) {
		if m.ID == "" || err != nil {
			t.Errorf("settled %+v: %v", m, err)
		}
		told.Add(1)
	}
	client = open(t, cfg)
	if err := client.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(good.ids()); got != "[0 1 2]" {
		t.Errorf("sent %s", got)
	}
	await(t, "the news", func() bool { return told.Load() == 3 })
	if mute.greeting(0).ClientID != good.greeting(0).ClientID {
		t.Error("the session has another name after a reboot")
	}
	if a, b := epochOf(mute.greeting(0)), epochOf(good.greeting(0)); b <= a || a == "" {
		t.Errorf("epochs %s, then %s", a, b)
	}
}

func epochOf(p *packets.Connect) string {
	for _, u := range p.Properties.User {
		if u.Key == "tidegate-epoch" {
			return u.Value
		}
	}
	return ""
}

func TestAFullOutboxSaysSo(t *testing.T) {
	w := newTown(t)
	mute := w.broker(t, script{publish: func(int, *packets.Publish, func(encoder)) *packets.Puback { return nil }})
	for name, change := range map[string]func(*Config){
		"messages": func(c *Config) { c.OutboxMessages = 3 },
		"bytes":    func(c *Config) { c.OutboxBytes = 3 * (&Message{ID: "0", Topic: "t"}).size() },
	} {
		cfg := w.quick(mute)
		change(&cfg)
		client := open(t, cfg)
		for i := range 3 {
			if _, err := client.Enqueue(Message{ID: fmt.Sprint(i), Topic: "t"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Enqueue(Message{ID: "3", Topic: "t"}); !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
		if s := client.State(); s.Queued != 3 {
			t.Errorf("%s: state %+v", name, s)
		}
		shut(client)
		if err := client.Close(t.Context()); !strings.Contains(fmt.Sprint(err), "3 messages") {
			t.Errorf("%s: close says %v", name, err)
		}
		if _, err := client.Enqueue(Message{Topic: "t"}); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: after close: %v", name, err)
		}
	}
}

func TestPublishEndsWithItsContextAndTheMessageIsSentAllTheSame(t *testing.T) {
	w := newTown(t)
	hold := make(chan struct{})
	b := w.broker(t, script{connect: func(int, *packets.Connect) *packets.Connack {
		<-hold
		return &packets.Connack{Properties: &packets.Properties{}}
	}})
	client := open(t, w.quick(b))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := client.Publish(ctx, Message{ID: "m", Topic: "t"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(hold)
	if err := client.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := b.ids(); len(got) != 1 || got[0] != "m" {
		t.Errorf("sent %v", got)
	}
}

func TestAnExpiredMessageIsNotSent(t *testing.T) {
	w := newTown(t)
	b := w.broker(t, script{})
	client := open(t, w.quick(b))
	err := client.Publish(within(t), Message{Topic: "t", Expires: time.Now().Add(-time.Second)})
	if !errors.Is(err, ErrExpired) || len(b.ids()) != 0 {
		t.Errorf("got %v, sent %v", err, b.ids())
	}
}

func TestAMessageLargerThanTheAgentTakesIsRefusedNotSent(t *testing.T) {
	w := newTown(t)
	most := uint32(1000)
	b := w.broker(t, script{connect: func(int, *packets.Connect) *packets.Connack {
		return &packets.Connack{Properties: &packets.Properties{MaximumPacketSize: &most}}
	}})
	client := open(t, w.quick(b))
	err := client.Publish(within(t), Message{Topic: "t", Payload: make([]byte, 1000)})
	if !errors.Is(err, ErrRefused) || len(b.ids()) != 0 {
		t.Errorf("got %v, sent %v", err, b.ids())
	}
	if err := client.Publish(within(t), Message{Topic: "t", Payload: make([]byte, 900)}); err != nil {
		t.Error(err)
	}
}

func TestTheAgentsReceiveMaximumIsKept(t *testing.T) {
	w := newTown(t)
	receive := uint16(2)
	var mu sync.Mutex
	underWay, most := 0, 0
	b := w.broker(t, script{
		connect: func(int, *packets.Connect) *packets.Connack {
			return &packets.Connack{Properties: &packets.Properties{ReceiveMaximum: &receive}}
		},
		publish: func(_ int, p *packets.Publish, say func(encoder)) *packets.Puback {
			mu.Lock()
			defer mu.Unlock()
			underWay++
			most = max(most, underWay)
			time.AfterFunc(10*time.Millisecond, func() {
				mu.Lock()
				underWay--
				mu.Unlock()
				say(puback0(p, 0))
			})
			return nil
		}})
	cfg := w.quick(b)
	client := open(t, cfg)
	for i := range 20 {
		if _, err := client.Enqueue(Message{Topic: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if most != 2 {
		t.Errorf("%d were under way", most)
	}
}

// What a session knows is sent again by the same packet identifier, as MQTT asks.
func TestAKnownSessionGoesOn(t *testing.T) {
	w := newTown(t)
	b := w.broker(t, script{
		connect: func(n int, _ *packets.Connect) *packets.Connack {
			return &packets.Connack{SessionPresent: n > 1, Properties: &packets.Properties{}}
		},
		publish: func(n int, p *packets.Publish, _ func(encoder)) *packets.Puback {
			if n == 1 {
				return nil
			}
			return puback0(p, 0)
		},
	})
	client := open(t, w.quick(b))
	if _, err := client.Enqueue(Message{ID: "m", Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	await(t, "it to be sent", func() bool { return len(b.ids()) == 1 })
	b.cut()
	if err := client.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	first, again := b.sent(0), b.sent(1)
	if first.Duplicate || !again.Duplicate || first.PacketID != again.PacketID {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if c := b.greeting(1); c.CleanStart || *c.Properties.SessionExpiryInterval == 0 {
		t.Errorf("connected by %+v", c)
	}
}

func TestCommandsAreHandledAndAcknowledged(t *testing.T) {
	w := newTown(t)
	acks := make(chan *packets.Puback, 10)
	send := func(id uint16, name string) *packets.Publish {
		return &packets.Publish{Topic: "commands/d1/" + name, QoS: 1, PacketID: id, Payload: []byte(name),
			Properties: &packets.Properties{ContentType: "text/plain", User: []packets.User{{Key: "ce-id", Value: name}, {Key: "k", Value: "v"}}}}
	}
	b := w.broker(t, script{
		greet: func(say func(encoder)) {
			say(send(1, "good"))
			say(send(2, "bad"))
			say(send(3, "good")) // again
		},
		puback: func(p *packets.Puback) { acks <- p },
	})
	cfg := w.quick(b)
	cfg.Commands = []string{"commands/d1/#"}
	var handled []Command
	cfg.Handler = func(_ context.Context, c Command) error {
		if handled = append(handled, c); c.ID == "bad" {
			return errors.New("no such valve")
		}
		return nil
	}
	client := open(t, cfg)
	for i, want := range []byte{0x00, 0x83, 0x00} {
		select {
		case p := <-acks:
			if p.PacketID != uint16(i+1) || p.ReasonCode != want || want != 0 && p.Properties.ReasonString != "no such valve" {
				t.Errorf("acknowledged %+v", p)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no acknowledgement")
		}
	}
	shut(client)
	if len(handled) != 2 || handled[0].Topic != "commands/d1/good" || string(handled[0].Payload) != "good" || handled[0].ContentType != "text/plain" || handled[0].Properties["k"] != "v" {
		t.Errorf("handled %+v", handled)
	}
}

func TestARefusedSubscriptionIsReported(t *testing.T) {
	w := newTown(t)
	b := w.broker(t, script{suback: func(p *packets.Subscribe) *packets.Suback {
		return &packets.Suback{PacketID: p.PacketID, Reasons: []byte{0x87}, Properties: &packets.Properties{}}
	}})
	cfg := w.quick(b)
	cfg.Commands, cfg.Handler = []string{"commands/d2/#"}, func(context.Context, Command) error { return nil }
	client := open(t, cfg)
	await(t, "the news", func() bool { return errors.Is(client.State().Err, ErrSubscription) })
	if err := client.Publish(within(t), Message{Topic: "t"}); err != nil {
		t.Errorf("and publishing: %v", err)
	}
}

// A device that had to leave the nearest region goes back there, and loses
// nothing on the way.
func TestADeviceReturnsToANearerRegion(t *testing.T) {
	w := newTown(t)
	near, far := w.broker(t, script{}), w.broker(t, script{})
	cfg := w.quick(near, far)
	cfg.Return = 200 * time.Millisecond
	client := open(t, cfg)
	await(t, "a connection", func() bool { return client.State().Phase == Connected })
	client.do(func() { // as if it had been measured so
		for _, p := range client.places {
			if p.rtt = 10 * time.Second; p != client.link.place {
				p.rtt = time.Microsecond
			}
		}
		client.link.rtt = 10 * time.Second
	})
	before := client.State().Endpoint.Addr
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 20 * time.Millisecond)
			if err := client.Publish(within(t), Message{ID: fmt.Sprint(i), Topic: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, "the return", func() bool { return client.State().Endpoint.Addr != before })
	all.Wait()
	if n := len(near.ids()) + len(far.ids()); n != 20 {
		t.Errorf("%d were sent", n)
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	good := func() Config { return Config{Endpoints: []Endpoint{{Addr: "a:1"}}} }
	for name, change := range map[string]func(*Config){
		"no endpoint":         func(c *Config) { c.Endpoints = nil },
		"no port":             func(c *Config) { c.Endpoints = []Endpoint{{Addr: "a"}} },
		"an endpoint twice":   func(c *Config) { c.Endpoints = append(c.Endpoints, c.Endpoints...) },
		"unknown protocol":    func(c *Config) { c.Protocol = "coap" },
		"no way":              func(c *Config) { c.NoUDP, c.NoTCP = true, true },
		"commands for nobody": func(c *Config) { c.Commands = []string{"a"} },
		"handler for nothing": func(c *Config) { c.Handler = func(context.Context, Command) error { return nil } },
		"wrong filter": func(c *Config) {
			c.Commands, c.Handler = []string{"a/#/b"}, func(context.Context, Command) error { return nil }
		},
		"too many in flight":      func(c *Config) { c.InFlight = 1001 },
		"negative limit":          func(c *Config) { c.OutboxBytes = -1 },
		"keep-alive too short":    func(c *Config) { c.KeepAlive = time.Millisecond },
		"silence too short":       func(c *Config) { c.Silence = time.Millisecond },
		"backoff the wrong way":   func(c *Config) { c.Backoff = time.Hour },
		"outbox is no outbox":     func(c *Config) { c.Outbox = "/dev/null/x" },
		"client identifier large": func(c *Config) { c.ClientID = strings.Repeat("x", 300) },
	} {
		cfg := good()
		change(&cfg)
		c, err := Open(cfg)
		if !errors.Is(err, ErrConfig) && !errors.Is(err, ErrOutbox) {
			t.Errorf("%s: %v", name, err)
		}
		if c != nil {
			shut(c)
		}
	}
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	w := newTown(t)
	client := open(t, w.quick(w.broker(t, script{})))
	many := map[string]string{}
	for i := range 129 {
		many[fmt.Sprint(i)] = "x"
	}
	for name, m := range map[string]Message{
		"no topic":        {},
		"wildcard":        {Topic: "a/+"},
		"NUL":             {Topic: "a\x00"},
		"not UTF-8":       {Topic: "\xff"},
		"long topic":      {Topic: strings.Repeat("x", 5000)},
		"quoted id":       {Topic: "t", ID: `a"b`},
		"long id":         {Topic: "t", ID: strings.Repeat("x", 300)},
		"large payload":   {Topic: "t", Payload: make([]byte, 1<<20)},
		"content type":    {Topic: "t", ContentType: "text/plain\r\nX: y"},
		"its id twice":    {Topic: "t", Properties: map[string]string{"ce-id": "x"}},
		"many properties": {Topic: "t", Properties: many},
	} {
		if err := client.Publish(t.Context(), m); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := client.State(); s.Queued != 0 {
		t.Errorf("%d are kept", s.Queued)
	}
}

func nothingToDo(context.Context, Command) error { return nil }

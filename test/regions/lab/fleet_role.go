//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/transport/device"
)

// orders are what the process that plays the fleet is told on its input.
type orders struct {
	Endpoints []device.Endpoint
	CA        string
	Dir       string // with certificates
	First     int    // the number of the first device's
	Devices   int
	Pause     time.Duration // between the messages of a device
}

// report is what a device of the fleet tells.
type report struct {
	Device string
	At     time.Time
	Phase  device.Phase // of a connection; empty: it tells of a message
	Addr   string       // where it is connected
	Wire   string       // and how
	ID     string       // of a message
	Due    time.Time    // when that was to be sent
	Err    string       // why there is no connection, or no acknowledgement
}

const (
	devicesPerSocket = 10
	farewell         = 15 * time.Second // until outboxes are empty
)

// marchAsFleet has devices of the SDK publish numbered messages until SIGTERM.
func marchAsFleet() error {
	var o orders
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	trust, err := trusting(o.CA)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	tell := newTeller(os.Stdout)
	var all sync.WaitGroup
	defer all.Wait()
	var socket *quic.Transport
	for n := range o.Devices {
		if n%devicesPerSocket == 0 {
			conn, err := net.ListenUDP("udp", nil)
			if err != nil {
				return err
			}
			defer conn.Close()
			socket = &quic.Transport{Conn: conn}
			defer socket.Close()
		}
		s := &soldier{orders: &o, name: deviceID(o.First + n), tell: tell}
		if err := s.enlist(trust, o.First+n, socket); err != nil {
			return err
		}
		all.Go(func() { s.march(ctx) })
	}
	all.Wait()
	return nil
}

type soldier struct {
	*device.Client
	orders *orders
	name   string
	tell   *teller
}

func (s *soldier) enlist(trust *tls.Config, n int, socket *quic.Transport) error {
	cert, err := identity(s.orders.Dir, n)
	if err != nil {
		return err
	}
	conf := trust.Clone()
	conf.Certificates = []tls.Certificate{cert}
	s.Client, err = device.Open(device.Config{
		Endpoints: s.orders.Endpoints, TLS: conf, Transport: socket, Probe: 1, Return: -1, SessionExpiry: 10 * time.Second,
		OnState: func(state device.State) {
			r := report{Device: s.name, At: time.Now(), Phase: state.Phase, Addr: state.Endpoint.Addr, Wire: state.Wire}
			if state.Err != nil {
				r.Err = state.Err.Error()
			}
			s.tell.print(r)
		},
	})
	return err
}

// march publishes one message after the other, half of them to a service that
// not every region has.
func (s *soldier) march(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	due := time.Now().Add(rand.N(s.orders.Pause))
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			s.leave()
			return
		case <-time.After(time.Until(due)):
		}
		topic := "devices/" + s.name + [2]string{"", "/stock"}[n%2] + numbered
		m := device.Message{ID: fmt.Sprintf("%s-%d-%d", s.name, due.UnixNano(), n), Topic: topic, Payload: []byte(s.name + " " + strconv.FormatInt(due.UnixNano(), 36) + " " + strconv.Itoa(n))}
		now := due
		under.Go(func() { s.publish(m, now) })
		due = due.Add(s.orders.Pause)
	}
}

func (s *soldier) publish(m device.Message, due time.Time) {
	r := report{Device: s.name, ID: m.ID, Due: due}
	if err := s.Publish(context.Background(), m); err != nil {
		r.Err = err.Error()
	}
	r.At = time.Now()
	s.tell.print(r)
}

// leave waits until all is acknowledged, but not for ever.
func (s *soldier) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := s.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
	}
}

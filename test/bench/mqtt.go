package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/quic-go/quic-go"
)

// dialMQTT opens a connection to publish on.
type dialMQTT func(ctx context.Context, addr string, client *tls.Config) (io.ReadWriteCloser, error)

func dialTLS(ctx context.Context, addr string, client *tls.Config) (io.ReadWriteCloser, error) {
	return (&tls.Dialer{NetDialer: &net.Dialer{}, Config: withMQTT(client)}).DialContext(ctx, "tcp", addr)
}

func dialQUIC(ctx context.Context, addr string, client *tls.Config) (io.ReadWriteCloser, error) {
	conn, err := quic.DialAddr(ctx, addr, withMQTT(client), &quic.Config{KeepAlivePeriod: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	return &quicLink{stream, conn}, err
}

func withMQTT(client *tls.Config) *tls.Config {
	conf := client.Clone()
	conf.NextProtos = []string{"mqtt"}
	return conf
}

type quicLink struct {
	*quic.Stream
	conn *quic.Conn
}

func (l *quicLink) Close() error { return l.conn.CloseWithError(0, "") }

// publisher is one connection with as many messages under way as an HTTP/3
// connection has requests, each on a topic of its own: on one they would wait for
// each other.
type publisher struct {
	*load
	link  io.ReadWriteCloser
	began [streams + 1]time.Time // by packet identifier
	mine  *hdrhistogram.Histogram
}

// publishing keeps a connection busy until ctx ends.
func (l *load) publishing(ctx context.Context, addr string, client *tls.Config, dial dialMQTT) {
	p := &publisher{load: l, mine: newHistogram()}
	if err := p.run(ctx, addr, client, dial); err != nil {
		l.fail(ctx, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(p.mine)
}

func (p *publisher) run(ctx context.Context, addr string, client *tls.Config, dial dialMQTT) (err error) {
	if p.link, err = dial(ctx, addr, client); err != nil {
		return err
	}
	defer p.link.Close()
	stop := context.AfterFunc(ctx, func() { p.link.Close() })
	defer stop()
	r := bufio.NewReader(p.link)
	if _, err := p.link.Write([]byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0}); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(r, answer[:]); err != nil || answer != [4]byte{0x20, 2, 0, 0} {
		return fmt.Errorf("CONNACK %x: %w", answer, err)
	}
	for id := range uint16(streams) {
		if err := p.publish(id + 1); err != nil {
			return err
		}
	}
	for {
		if _, err := io.ReadFull(r, answer[:]); err != nil {
			return err
		}
		id := binary.BigEndian.Uint16(answer[2:])
		if answer[0] != 0x40 || id == 0 || id > streams {
			return fmt.Errorf("%x is no PUBACK", answer)
		}
		p.requests.Add(1)
		if p.counting.Load() {
			p.mine.RecordValue(time.Since(p.began[id]).Microseconds())
		}
		if err := p.publish(id); err != nil {
			return err
		}
	}
}

func (p *publisher) publish(id uint16) error {
	topic := fmt.Sprintf("v1/devices/d-%02d/telemetry", id)
	size := 2 + len(topic) + 2 + payload
	b := append(make([]byte, 0, size+3), 0x32, byte(size&0x7f|0x80), byte(size>>7))
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, bytes.Repeat([]byte("x"), payload)...)
	p.began[id] = time.Now()
	_, err := p.link.Write(b)
	return err
}

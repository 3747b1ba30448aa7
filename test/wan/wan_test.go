//go:build linux

package wan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ping runs the real one and returns what it said.
func ping(t *testing.T, from *Region, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "ping"), append([]string{"-n"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := from.In(cmd.Start); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status says whether all was answered
	return out.String()
}

var (
	times  = regexp.MustCompile(`time=([0-9.]+) ms`)
	losses = regexp.MustCompile(`([0-9.]+)% packet loss`)
)

// rtt is the lower quartile of what ping said, in milliseconds.
func rtt(t *testing.T, said string) float64 {
	t.Helper()
	var all []float64
	for _, found := range times.FindAllStringSubmatch(said, -1) {
		all = append(all, number(t, found[1]))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/4]
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPingAndUDPSeeTheLatencySet(t *testing.T) {
	w := network(t, Config{Setup: []string{"set eu-1 eu-2 rtt=40ms", "set eu-1 us-1 rtt=80ms", "set eu-2->us-1 delay=90ms", "set us-1->eu-2 delay=50ms"}})
	for _, pair := range []struct {
		from, to string
		rtt, one float64 // ms
	}{{"eu-1", "eu-2", 40, 20}, {"us-1", "eu-1", 80, 40}, {"eu-2", "us-1", 140, 90}, {"us-1", "eu-2", 140, 50}} {
		from, to := w.Region(pair.from), w.Region(pair.to)
		measure(t, func() error {
			said := ping(t, from, "-c", "20", "-i", "0.05", to.Addr(3).String())
			if !near(rtt(t, said), pair.rtt) {
				return fmt.Errorf("%s to %s: set %g ms, ping says %s", pair.from, pair.to, pair.rtt, said)
			}
			got := flow(t, from, to, 200, 200, time.Millisecond)
			if one := 1000 * quantile(got, 0.25).Seconds(); len(got) != 200 || !near(one, pair.one) {
				return fmt.Errorf("%s to %s: set %g ms one way, %d packets took %.1f ms", pair.from, pair.to, pair.one, len(got), one)
			}
			return nil
		})
	}
	here := w.Region("eu-1")
	measure(t, func() error {
		if inside := rtt(t, ping(t, here, "-c", "5", "-i", "0.01", here.Addr(2).String())); inside == 0 || inside > 5 {
			return fmt.Errorf("inside a region it takes %g ms", inside)
		}
		if !hasIPv6() {
			return nil
		}
		if far := rtt(t, ping(t, here, "-6", "-c", "10", "-i", "0.05", w.Region("us-1").Addr6(1).String())); !near(far, 80) {
			return fmt.Errorf("IPv6: set 80 ms, ping says %g ms", far)
		}
		return nil
	})
}

func TestJitterStaysInItsBoundsAndKeepsTheOrder(t *testing.T) {
	w := network(t, Config{Setup: []string{"set eu-1 eu-2 delay=40ms jitter=10ms"}})
	measure(t, func() error {
		got := flow(t, w.Region("eu-1"), w.Region("eu-2"), 2000, 200, time.Millisecond)
		for i, a := range got {
			if a.number != i {
				return fmt.Errorf("packet %d arrived as number %d of %d", a.number, i, len(got))
			}
		}
		least, middle, most := quantile(got, 0), quantile(got, 0.5), quantile(got, 1)
		if !near(middle.Seconds(), 0.040) || least < 29*time.Millisecond || least > 35*time.Millisecond || most < 45*time.Millisecond {
			return fmt.Errorf("%d packets took %s to %s, half of them less than %s; set 40 ms ± 10 ms", len(got), least, most, middle)
		}
		return nil
	})
}

func TestPingAndUDPSeeTheLossSet(t *testing.T) {
	const packets = 10000
	w := network(t, Config{Seed: 7, Setup: []string{"set eu-1->eu-2 delay=5ms loss=10%", "set us-1->eu-2 loss=10% burst=8"}})
	to := w.Region("eu-2")
	got := flow(t, w.Region("eu-1"), to, packets, 100, 100*time.Microsecond)
	if lost := 1 - float64(len(got))/packets; !near(lost, 0.10) {
		t.Errorf("set 10%%, UDP lost %.2f%%", 100*lost)
	}
	said := ping(t, w.Region("eu-1"), "-q", "-c", "1000", "-i", "0.002", to.Addr(3).String())
	if found := losses.FindStringSubmatch(said); found == nil || number(t, found[1]) < 7 || number(t, found[1]) > 13 { // 3 deviations of 1000 draws
		t.Errorf("set 10%%, ping says %s", said)
	}
	burst := numbers(flow(t, w.Region("us-1"), to, packets, 100, 100*time.Microsecond))
	bursts := 0
	for n := range packets {
		if burst[n] == 0 && (n == 0 || burst[n-1] > 0) {
			bursts++
		}
	}
	if mean := float64(packets-len(burst)) / float64(bursts); mean < 6 || mean > 10 {
		t.Errorf("set bursts of 8, %d packets were lost in %d bursts", packets-len(burst), bursts)
	}
}

func TestSameSeedLosesTheSamePackets(t *testing.T) {
	arrived := func(seed uint64) map[int]int {
		w := network(t, Config{Seed: seed, Setup: []string{"set * * loss=20% duplicate=5%"}})
		return numbers(flow(t, w.Region("eu-1"), w.Region("eu-2"), 1000, 100, 100*time.Microsecond))
	}
	one := arrived(1)
	if !maps.Equal(one, arrived(1)) {
		t.Error("the same seed lost others")
	}
	if maps.Equal(one, arrived(2)) {
		t.Error("another seed lost the same")
	}
}

func TestRateAndQueueBoundWhatPasses(t *testing.T) {
	w := network(t, Config{Setup: []string{"set eu-1->eu-2 delay=10ms rate=8mbit queue=50kb"}})
	measure(t, func() error {
		// 1000 bytes a packet, 1000 packets a second pass; twice as many are sent.
		got := flow(t, w.Region("eu-1"), w.Region("eu-2"), 4000, 1000, 500*time.Microsecond)
		took := got[len(got)-1].at.Sub(got[0].at).Seconds()
		if rate := float64(len(got)-1) * 8000 / took; !near(rate, 8e6) {
			return fmt.Errorf("set 8 Mbit/s, %.2f Mbit/s passed", rate/1e6)
		}
		// 50 KiB are 51 ms of the rate.
		if full := quantile(got, 0.5).Seconds(); !near(full, 0.061) {
			return fmt.Errorf("packets behind a full queue took %.1f ms, want 61", 1000*full)
		}
		return nil
	})
	for _, d := range w.Directions() {
		if c := d.Counters; d.From == "eu-1" && d.To == "eu-2" && (c.Overflow == 0 || c.Overflow+c.Delivered != c.Offered) {
			t.Errorf("counted are %+v", c)
		}
	}
}

func TestCutIsOneWayAndHeals(t *testing.T) {
	w := network(t, Config{})
	a, b := w.Region("eu-1"), w.Region("us-1")
	passes := func(from, to *Region) bool { return len(flow(t, from, to, 5, 100, time.Millisecond)) == 5 }
	do(t, w, "cut eu-1->us-1")
	if passes(a, b) || !passes(b, a) || !passes(a, w.Region("eu-2")) {
		t.Error("not only the one direction is cut")
	}
	do(t, w, "heal")
	if !passes(a, b) {
		t.Error("it did not heal")
	}
	do(t, w, "isolate us-1")
	if passes(a, b) || passes(b, a) || !passes(a, w.Region("eu-2")) {
		t.Error("not only the one region is isolated")
	}
}

func TestReorderedAndDuplicatedAreTheSharesSet(t *testing.T) {
	const packets = 10000
	w := network(t, Config{Setup: []string{"set eu-1->eu-2 delay=10ms reorder=10% by=5ms", "set us-1->eu-2 duplicate=10%"}})
	got := flow(t, w.Region("eu-1"), w.Region("eu-2"), packets, 100, 200*time.Microsecond)
	passed, highest := 0, -1
	for _, a := range got {
		if a.number < highest {
			passed++
		}
		highest = max(highest, a.number)
	}
	if len(got) != packets || !near(float64(passed)/packets, 0.10) {
		t.Errorf("set 10%%, %d of %d arrived behind later ones", passed, len(got))
	}
	got = flow(t, w.Region("us-1"), w.Region("eu-2"), packets, 100, 100*time.Microsecond)
	if more := len(got) - len(numbers(got)); len(numbers(got)) != packets || !near(float64(more)/packets, 0.10) {
		t.Errorf("set 10%%, %d of %d arrived twice", more, len(numbers(got)))
	}
}

func TestPacketsTooBigAreAnsweredOrFragmented(t *testing.T) {
	w := network(t, Config{Setup: []string{"set eu-1->eu-2 mtu=1300"}})
	from, to := w.Region("eu-1"), w.Region("eu-2")
	if said := ping(t, from, "-M", "do", "-c", "2", "-i", "0.05", "-s", "1372", to.Addr(1).String()); !strings.Contains(said, "mtu") || !strings.Contains(said, "1300") {
		t.Errorf("1400 bytes that must not be fragmented: %s", said)
	}
	if said := ping(t, from, "-M", "dont", "-c", "2", "-i", "0.05", "-s", "1372", to.Addr(2).String()); !strings.Contains(said, " 0% packet loss") {
		t.Errorf("1400 bytes that may be fragmented: %s", said)
	}
	if hasIPv6() {
		do(t, w, "set eu-1->eu-2 mtu=1280")
		if said := ping(t, from, "-6", "-c", "3", "-i", "0.05", "-s", "1400", to.Addr6(1).String()); !strings.Contains(said, "1280") {
			t.Errorf("1448 bytes of IPv6: %s", said)
		}
	}
	transfer(t, from, to, 1<<20)
}

// transfer sends bytes over TCP and reads them again.
func transfer(t *testing.T, from, to *Region, size int) {
	t.Helper()
	addr := netip.AddrPortFrom(to.Addr(5), 7).String()
	var listener net.Listener
	if err := to.In(func() (err error) { listener, err = net.Listen("tcp4", addr); return err }); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make(chan int64, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			got <- 0
			return
		}
		defer conn.Close()
		n, _ := io.Copy(io.Discard, conn)
		got <- n
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var conn net.Conn
	if err := from.In(func() (err error) { conn, err = new(net.Dialer).DialContext(ctx, "tcp4", addr); return err }); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := conn.Write(make([]byte, size))
	_ = conn.Close()
	if n := <-got; err != nil || n != int64(size) {
		t.Errorf("sent %d bytes over TCP, %d arrived: %v", size, n, err)
	}
}

func TestRegionsReachNothingElse(t *testing.T) {
	w := network(t, Config{Regions: []string{"a"}})
	err := w.Region("a").In(func() error {
		conn, err := net.Dial("udp4", "192.0.2.1:9")
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	if err == nil || !strings.Contains(fmt.Sprint(err), "unreachable") {
		t.Errorf("there is a way out: %v", err)
	}
}

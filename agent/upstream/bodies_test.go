package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func echo(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
	w.Header().Set("X-Host", r.Host)
	io.Copy(w, r.Body)
}

// TestBodiesOfEveryKindArriveWhole covers every way a body is sent, up to 5 MB,
// on one kept connection where that is possible.
func TestBodiesOfEveryKindArriveWhole(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{HeaderTimeout: patience})
	for _, size := range []int{1, 200, 5000, 16 << 10, MaxReplayable, MaxReplayable + 1, 5 << 20} {
		body := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		requests := map[string]*Request{
			"bytes":           {Bytes: body},
			"declared stream": {Body: bytes.NewReader(body), ContentLength: int64(size)},
			"chunked stream":  {Body: iotest.HalfReader(bytes.NewReader(body)), ContentLength: -1},
			"data with EOF":   {Body: iotest.DataErrReader(bytes.NewReader(body)), ContentLength: -1},
		}
		for kind, req := range requests {
			req.Method, req.RequestURI, req.Host = "POST", "/", "svc"
			length := strconv.Itoa(size)
			if req.ContentLength < 0 {
				length = "-1"
			}
			resp, got := mustRead(t, c, addr, req)
			if sha256.Sum256([]byte(got)) != sha256.Sum256(body) {
				t.Errorf("%s of %d bytes: %d came back, or others", kind, size, len(got))
			}
			if resp.Header.Get("X-Length") != length || resp.Header.Get("X-Host") != "svc" {
				t.Errorf("%s of %d bytes: framed as %s for %s", kind, size, resp.Header.Get("X-Length"), resp.Header.Get("X-Host"))
			}
		}
	}
}

func TestGetOfUnknownLengthWithoutBodyIsSentWithoutOne(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Join(r.TransferEncoding, ",")+r.Header.Get("Content-Length"))
	})
	c := newClient(t, Config{})
	if _, framing := mustRead(t, c, addr, &Request{RequestURI: "/", Body: strings.NewReader(""), ContentLength: -1}); framing != "" {
		t.Errorf("framed as %q", framing)
	}
	if _, framing := mustRead(t, c, addr, &Request{RequestURI: "/", Body: iotest.DataErrReader(strings.NewReader("abc")), ContentLength: -1}); framing != "3" {
		t.Errorf("a body that is there is framed as %q", framing)
	}
	if _, framing := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/"}); framing != "0" {
		t.Errorf("POST without body is framed as %q", framing)
	}
}

// TestBodiesStreamBothWaysAtOnce plays ping-pong inside one exchange.
func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); w.(http.Flusher).Flush() {
			io.WriteString(w, "re: "+lines.Text()+"\n")
		}
	})
	c := newClient(t, Config{})
	body, pipe := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := c.Do(ctx, addr, &Request{Method: "POST", RequestURI: "/", Body: body, ContentLength: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		io.WriteString(pipe, word+"\n")
		if line, err := answers.ReadString('\n'); line != "re: "+word+"\n" {
			t.Fatalf("after %s came %q, %v", word, line, err)
		}
	}
	pipe.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Fatalf("at the end came %q, %v", rest, err)
	}
	eventually(t, "the connection is kept", func() bool { return c.Stats().Idle == 1 })
}

// TestEarlyAnswerIsDeliveredAndItsConnectionLeft: the service refuses before it
// has read the body.
func TestEarlyAnswerIsDeliveredAndItsConnectionLeft(t *testing.T) {
	addr := rawServer(t, func(_ int, nc net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(nc, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong")
		io.Copy(io.Discard, r)
	})
	c := newClient(t, Config{HeaderTimeout: patience})
	body, pipe := io.Pipe()
	defer pipe.Close()
	go pipe.Write([]byte("begun"))
	resp, text := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Body: body, ContentLength: 1 << 20})
	if resp.Status != 413 || text != "long" {
		t.Errorf("got %d %q", resp.Status, text)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%d connections open", s.Open)
	}
}

// TestEarlyAnswerToReplayableBody: 64 KiB in memory against a service that never
// reads them.
func TestEarlyAnswerToReplayableBody(t *testing.T) {
	addr := rawServer(t, func(_ int, nc net.Conn, r *bufio.Reader) {
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		io.WriteString(nc, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		r.ReadByte()
	})
	c := newClient(t, Config{})
	resp, _ := mustRead(t, c, addr, &Request{Method: "POST", RequestURI: "/", Bytes: make([]byte, MaxReplayable)})
	if resp.Status != 503 {
		t.Errorf("got %d", resp.Status)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, announced := r.Trailer["X-Sum"]
		w.Header().Set("Trailer", "X-Back")
		io.Copy(w, r.Body)
		w.Header().Set("X-Back", r.Trailer.Get("X-Sum")+strconv.FormatBool(announced)+r.Trailer.Get("Host"))
	})
	c := newClient(t, Config{})
	for _, body := range []Request{{Bytes: []byte("abc")}, {Body: strings.NewReader("abc"), ContentLength: -1}, {Body: strings.NewReader("abc"), ContentLength: 3}} {
		trailer := http.Header{"X-Sum": nil, "Host": {"evil"}}
		req := body
		req.Method, req.RequestURI = "POST", "/"
		req.Trailer = func() http.Header {
			defer trailer.Set("X-Sum", "42")
			return trailer.Clone()
		}
		resp, text := mustRead(t, c, addr, &req)
		if text != "abc" || resp.Trailer().Get("X-Back") != "42true" {
			t.Errorf("got %q and trailer %v", text, resp.Trailer())
		}
	}
}

func TestBodyShorterThanDeclaredIsAnErrorOfTheBody(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{})
	for _, size := range []int64{10, MaxReplayable + 10} {
		_, _, err := read(t, c, addr, &Request{Method: "POST", RequestURI: "/", Body: strings.NewReader("short"), ContentLength: size})
		if !errors.Is(err, ErrBody) || errors.Is(err, ErrNotSent) {
			t.Errorf("declared %d: %v", size, err)
		}
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%d connections are kept after it", s.Open)
	}
}

func TestFailingBodyEndsTheRequest(t *testing.T) {
	broken := errors.New("device went away")
	addr, c := serve(t, echo), newClient(t, Config{})
	body := io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(broken))
	_, _, err := read(t, c, addr, &Request{Method: "POST", RequestURI: "/", Body: body, ContentLength: -1})
	if !errors.Is(err, ErrBody) || !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestTricklingAnswerIsFlushedBeforeEachWait: CopyTo never sits on data.
func TestTricklingAnswerIsFlushedBeforeEachWait(t *testing.T) {
	step := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for _, part := range []string{"a", "b"} {
			io.WriteString(w, part)
			w.(http.Flusher).Flush()
			<-step
		}
	})
	c := newClient(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := c.Do(ctx, addr, &Request{RequestURI: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	var flushed []string
	_, err = resp.CopyTo(&got, func() error {
		if n := len(flushed); got.Len() > 0 && (n == 0 || flushed[n-1] != got.String()) {
			flushed = append(flushed, got.String())
			step <- struct{}{}
		}
		return nil
	})
	if err != nil || strings.Join(flushed, " ") != "a ab" {
		t.Errorf("flushed %q, %v", flushed, err)
	}
}

func TestFailureOfTheSinkIsReturnedAsItIs(t *testing.T) {
	addr, c := serve(t, echo), newClient(t, Config{})
	broken := errors.New("stream reset")
	resp, err := c.Do(t.Context(), addr, &Request{Method: "POST", RequestURI: "/", Bytes: make([]byte, 60<<10)})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.CopyTo(io.Discard, func() error { return broken }); err != broken {
		t.Errorf("got %v", err)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%d connections open after it", s.Open)
	}
}

func TestClosingABodyEarlyLeavesItsConnection(t *testing.T) {
	gone := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c := newClient(t, Config{})
	resp, err := c.Do(t.Context(), addr, &Request{RequestURI: "/"})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("read after close gave %v", err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the instance was not told")
	}
}

package upstream

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

type answerCase struct {
	Name, Method, Raw string
	Repeat            int
	Close             bool // the server closes after Raw

	Status  int
	Body    string
	Trailer map[string][]string
	Absent  []string
	Reused  bool
	Kind    string // protocol, broken; empty: a good answer
}

func answerCases(t testing.TB) []answerCase {
	raw, err := os.ReadFile("testdata/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []answerCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		cases[i].Raw = strings.Repeat(cases[i].Raw, max(1, cases[i].Repeat))
	}
	return cases
}

// TestAnswersAreTakenStrictly sends each answer of the table whole, and byte by
// byte, and expects the same verdict.
func TestAnswersAreTakenStrictly(t *testing.T) {
	for _, tc := range answerCases(t) {
		t.Run(strings.ReplaceAll(tc.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			addr := rawServer(t, func(_ int, nc net.Conn, r *bufio.Reader) {
				for {
					if _, ok := readRequest(r); !ok {
						return
					}
					io.WriteString(nc, tc.Raw)
					if tc.Close {
						return
					}
				}
			})
			checkAnswer(t, newClient(t, Config{}), addr, tc)
			c := newClient(t, Config{})
			checkParsedBytewise(t, tc)
			checkAnswer(t, c, addr, tc)
		})
	}
}

func checkAnswer(t *testing.T, c *Client, addr string, tc answerCase) {
	t.Helper()
	resp, body, err := read(t, c, addr, &Request{Method: tc.Method, RequestURI: "/"})
	switch tc.Kind {
	case "protocol":
		if !errors.Is(err, ErrProtocol) || errors.Is(err, ErrNotSent) {
			t.Fatalf("want ErrProtocol, got %v (answer %+v)", err, resp)
		}
	case "broken":
		if !errors.Is(err, ErrBroken) || errors.Is(err, ErrNotSent) {
			t.Fatalf("want ErrBroken, got %v", err)
		}
	default:
		checkGood(t, resp, body, err, tc)
	}
	if idle := c.Stats().Idle; (idle == 1) != tc.Reused {
		t.Errorf("%d connections kept, want it kept: %v", idle, tc.Reused)
	}
}

func checkGood(t *testing.T, resp *Response, body string, err error, tc answerCase) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != tc.Status || body != tc.Body {
		t.Errorf("got %d %q, want %d %q", resp.Status, body, tc.Status, tc.Body)
	}
	if trailer := resp.Trailer(); len(trailer)+len(tc.Trailer) > 0 && !reflect.DeepEqual(map[string][]string(trailer), tc.Trailer) {
		t.Errorf("trailer %v, want %v", trailer, tc.Trailer)
	}
	for _, key := range tc.Absent {
		if resp.Header[key] != nil {
			t.Errorf("field %s came through", key)
		}
	}
}

// checkParsedBytewise holds that the input's segmentation never matters.
func checkParsedBytewise(t *testing.T, tc answerCase) {
	t.Helper()
	whole := parseAnswer(strings.NewReader(tc.Raw), tc.Method)
	bytewise := parseAnswer(iotest.OneByteReader(strings.NewReader(tc.Raw)), tc.Method)
	if !reflect.DeepEqual(whole, bytewise) {
		t.Errorf("whole: %+v\nbyte by byte: %+v", whole, bytewise)
	}
}

type parsed struct {
	head    head
	body    string
	trailer map[string][]string
	err     string
}

// parseAnswer runs the parsers as a connection does, without one.
func parseAnswer(r io.Reader, method string) (p parsed) {
	in := &input{src: r, buf: make([]byte, 64)}
	block, err := in.section(64 << 10)
	if err != nil {
		return parsed{err: err.Error()}
	}
	if p.head, err = parseHead(string(block), method); err != nil {
		return parsed{err: err.Error()}
	}
	if p.head.framed == chunked {
		p.body, p.trailer, err = decodeChunks(in)
		if err != nil {
			p.err = err.Error()
		}
	}
	return p
}

func decodeChunks(in *input) (string, map[string][]string, error) {
	c := chunks{in: in, maxTrailer: 64 << 10}
	var body strings.Builder
	for {
		n, err := c.next()
		if n == 0 || err != nil {
			return body.String(), c.trailer, err
		}
		body.Write(in.buffered()[:n])
		c.consume(n)
	}
}

func TestChunkExtensionsCannotOutweighTheData(t *testing.T) {
	chunk := "1;" + strings.Repeat("e", 900) + "\r\nx\r\n"
	_, _, err := decodeChunks(&input{src: strings.NewReader(strings.Repeat(chunk, 100)), buf: make([]byte, 64)})
	if _, ok := err.(violation); !ok {
		t.Errorf("90 KB of extensions for 100 bytes of data gave %v", err)
	}
	_, _, err = decodeChunks(&input{src: strings.NewReader("1;" + strings.Repeat("e", 2000) + "\r\nx\r\n0\r\n\r\n"), buf: make([]byte, 64)})
	if _, ok := err.(violation); !ok {
		t.Errorf("a size line of 2 KB gave %v", err)
	}
}

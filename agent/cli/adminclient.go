package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

const (
	defaultAdmin = "http://127.0.0.1:7400"
	adminTimeout = 30 * time.Second
	maxAnswer    = 64 << 20 // bytes
)

// adminFlags say which agent to ask, and how to print the answer.
type adminFlags struct {
	address string
	token   string
	json    bool

	operator string // token; see operatorFlag
}

func addAdminFlags(cmd *cobra.Command) *adminFlags {
	f := &adminFlags{}
	cmd.Flags().StringVar(&f.address, "admin", "", "`address` of the agent's control API: http://HOST:PORT or unix:///PATH (default $TIDEGATE_ADMIN, else "+defaultAdmin+")")
	cmd.Flags().StringVar(&f.token, "token", "", "its `token`; $TIDEGATE_TOKEN keeps it off the process list")
	jsonFlag(cmd, &f.json)
	return f
}

// adminClient asks one agent.
type adminClient struct {
	address string // as the person knows it
	base    string
	token   string
	http    *http.Client

	operator string // token
}

func (f *adminFlags) client() (*adminClient, error) {
	address := firstOf(f.address, os.Getenv("TIDEGATE_ADMIN"), defaultAdmin)
	c := &adminClient{address: address, base: address, token: firstOf(f.token, os.Getenv("TIDEGATE_TOKEN")),
		operator: firstOf(f.operator, os.Getenv("TIDEGATE_OPERATOR_TOKEN"))}
	transport := &http.Transport{DisableKeepAlives: true}
	c.http = &http.Client{Transport: transport, Timeout: adminTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	parsed, err := url.Parse(address)
	switch {
	case err == nil && parsed.Scheme == "unix" && parsed.Path != "":
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", parsed.Path)
		}
	case err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, usagef("the admin address %q is not http://HOST:PORT or unix:///PATH", address)
	}
	c.base = strings.TrimRight(c.base, "/")
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// ask sends a request, with body as JSON unless it is nil, and returns the
// answer's JSON. An answer that is not 2xx is an error that shows the problem.
func (c *adminClient) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, usageError{err}
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.operator != "" {
		req.Header.Set(admin.HeaderOperator, c.operator)
	}
	return c.send(req)
}

func (c *adminClient) send(req *http.Request) ([]byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("no agent answers at %s: %w: is it running there? (--admin, TIDEGATE_ADMIN)", c.address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer of %s: %w", c.address, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("answer of %s is larger than %d bytes", c.address, maxAnswer)
	case resp.StatusCode/100 != 2:
		return nil, problem(resp, answer)
	}
	return answer, nil
}

// problemError is the refusal of an agent.
type problemError struct {
	admin.Problem
}

func (e *problemError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the agent answers %d: %s", e.Status, e.Title)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Status == http.StatusUnauthorized {
		b.WriteString(" (--token, TIDEGATE_TOKEN)")
	}
	for _, d := range e.Diagnostics {
		fmt.Fprintf(&b, "\n%s:%d:%d: %s", d.File, d.Line, d.Column, d.Summary)
		if d.Text != "" {
			fmt.Fprintf(&b, "\n  %d | %s", d.Line, d.Text)
		}
		if d.Detail != "" {
			b.WriteString("\n  " + d.Detail)
		}
	}
	return b.String()
}

func problem(resp *http.Response, body []byte) error {
	e := &problemError{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != admin.ProblemType || json.Unmarshal(body, &e.Problem) != nil || e.Title == "" {
		e.Problem = admin.Problem{Title: http.StatusText(resp.StatusCode)}
	}
	e.Status = resp.StatusCode
	return e
}

// fetch asks and decodes; with --json it prints the answer as it came, so that
// only errors are left to the caller.
func fetch[T any](cmd *cobra.Command, f *adminFlags, method, path string, body any) (*T, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	raw, err := c.ask(cmd.Context(), method, path, body)
	if err != nil {
		return nil, err
	}
	answer, err := decode[T](c, raw)
	if err != nil {
		return nil, err
	}
	if f.json {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(raw))
	}
	return answer, err
}

func decode[T any](c *adminClient, raw []byte) (*T, error) {
	answer := new(T)
	if err := json.Unmarshal(raw, answer); err != nil {
		return nil, fmt.Errorf("answer of %s is not what this version understands: %w", c.address, err)
	}
	return answer, nil
}

//go:build linux

package wan

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// Ask does lines at the network of another process, by its socket, and returns
// its state; without lines it only asks.
func Ask(ctx context.Context, socket string, lines ...string) (s State, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	method := http.MethodGet
	if len(lines) > 0 {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://wan/", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		return s, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return s, fmt.Errorf("ask the network at %s (does it still run?): %w", socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return s, fmt.Errorf("ask the network at %s: %s", socket, strings.TrimSpace(string(said)))
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// OnlySocket is the control API of the one network that runs on this machine.
func OnlySocket() (string, error) {
	runs := Runs()
	if len(runs) != 1 {
		return "", fmt.Errorf("%w: %d networks run here %v: name the socket of one", ErrInvalid, len(runs), runs)
	}
	return filepath.Join(runs[0], socketName), nil
}

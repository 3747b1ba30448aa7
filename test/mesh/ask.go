package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
)

// local returns a client for one of the agent's local listeners, and its base URL.
func (a *Agent) local(listener string, port int) (*http.Client, string) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	if !a.Sockets {
		return client, "http://" + join(a.IP, port)
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(a.dir, listener+".sock"))
	}
	return client, "http://localhost"
}

// Get asks the control API.
func (a *Agent) Get(path string, into any) error {
	client, base := a.local("admin", a.Ports.Admin)
	req, err := http.NewRequest(http.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.Region.mesh.token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	case into == nil:
		return nil
	}
	return json.Unmarshal(body, into)
}

// Metrics are the agent's, as Prometheus reads them.
func (a *Agent) Metrics(t testing.TB) string {
	t.Helper()
	resp, body := a.ask(t, http.MethodGet, admin.PathMetrics, "", nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("metrics of %s: %s", a.Name, resp.Status)
	}
	return string(body)
}

// Post sends something to the control API, with the operator's token, and returns
// the status of the answer.
func (a *Agent) Post(t testing.TB, path, operator string, what any) int {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	resp, _ := a.ask(t, http.MethodPost, path, operator, body)
	return resp.StatusCode
}

func (a *Agent) ask(t testing.TB, method, path, operator string, body []byte) (*http.Response, []byte) {
	t.Helper()
	client, base := a.local("admin", a.Ports.Admin)
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.Region.mesh.token)
	req.Header.Set(admin.HeaderOperator, operator)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s at %s: %v", method, path, a.Name, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, answer
}

// Services asks for services, failing the test on an error.
func (a *Agent) Services(t testing.TB) admin.ServicesAnswer {
	t.Helper()
	var ans admin.ServicesAnswer
	if err := a.Get(admin.PathServices, &ans); err != nil {
		t.Fatalf("services of %s: %v", a.Name, err)
	}
	return ans
}

// Egress calls a service of the mesh as a local service does.
func (a *Agent) Egress(ctx context.Context, service, path string) (*Answer, error) {
	client, base := a.local("egress", a.Ports.Egress)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Host = service + ".mesh"
	req.Header.Set("Proxy-Authorization", "Bearer "+a.Region.mesh.token)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return readAnswer(resp)
}

// AdminAddr is where the control API is, as commands want it.
func (a *Agent) AdminAddr() string {
	if a.Sockets {
		return "unix://" + filepath.Join(a.dir, "admin.sock")
	}
	return "http://" + join(a.IP, a.Ports.Admin)
}

// Output is what a command printed and how it ended.
type Output struct {
	Stdout, Stderr string
	Status         int
}

// Command runs tidegate against the agent's control API.
func (a *Agent) Command(t testing.TB, args ...string) Output {
	t.Helper()
	return run(t, append(bareEnv(), "TIDEGATE_ADMIN="+a.AdminAddr(), "TIDEGATE_TOKEN="+a.Region.mesh.token), Binary(t), args...)
}

func run(t testing.TB, env []string, name string, args ...string) Output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	var exited *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exited) {
		t.Fatalf("run %v: %v", cmd.Args, err)
	}
	return Output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// JSON runs a command with --json and decodes what it prints.
func JSON[T any](t testing.TB, a *Agent, args ...string) T {
	t.Helper()
	out := a.Command(t, append(args, "--json")...)
	var into T
	if err := json.Unmarshal([]byte(out.Stdout), &into); err != nil || out.Status != 0 {
		t.Fatalf("tidegate %v --json: exit status %d, %v\n%s%s", args, out.Status, err, out.Stdout, out.Stderr)
	}
	return into
}

package catalog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/catalog"
)

// answer is one answer of a scripted server to a health query.
type answer struct {
	index    string // X-Consul-Index; empty: no such header
	filtered bool
	body     string
}

const oneInstance = `[{"Node":{"Node":"n1","Address":"10.0.0.1"},"Service":{"ID":"alarms-1","Service":"alarms","Port":80},
	"Checks":[{"CheckID":"c","Status":"passing"}]}]`

// scripted speaks Consul's protocol for corners that a real server reaches
// only by luck: it gives its answers one by one, then blocks.
type scripted struct {
	*httptest.Server
	mu         sync.Mutex
	answers    []answer
	asked      []string // the index parameter of each query
	when       []time.Time
	consistent map[int]bool // which of asked wanted a consistent answer
	other      []string     // queries that asked for passing instances only
	heard      []string     // what agents told, with its status
	agents     string       // the answer about the agents' own service; empty: a refusal
}

func script(t *testing.T, answers ...answer) *scripted {
	s := &scripted{answers: answers, consistent: map[int]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) serve(w http.ResponseWriter, r *http.Request) {
	if s.serveAgent(w, r) {
		return
	}
	a, ok := s.next(r)
	if !ok {
		<-r.Context().Done()
		return
	}
	a.write(w)
}

// serveAgent takes what is not about an ordinary service.
func (s *scripted) serveAgent(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/agent/"):
		s.hear(w, r)
	case r.URL.Path == "/v1/health/service/tidegate" && s.agents == "":
		http.Error(w, "ACL not found", http.StatusForbidden)
	case r.URL.Path == "/v1/health/service/tidegate":
		answer{index: "1", body: s.agents}.write(w)
	default:
		return false
	}
	return true
}

// hear takes what an agent tells of itself.
func (s *scripted) hear(w http.ResponseWriter, r *http.Request) {
	var told struct{ Status string }
	_ = json.NewDecoder(r.Body).Decode(&told)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, strings.TrimSpace(strings.TrimPrefix(r.URL.Path, "/v1/agent/")+" "+told.Status))
	if strings.HasPrefix(r.URL.Path, "/v1/agent/service/deregister/") {
		http.Error(w, "Unknown service ID", http.StatusNotFound)
	}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("X-Consul-LastContact", "0") // always there; without it the client reads no further
	w.Header().Set("X-Consul-KnownLeader", "true")
	if a.index != "" {
		w.Header().Set("X-Consul-Index", a.index)
	}
	if a.filtered {
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
	}
	fmt.Fprint(w, a.body)
}

func (s *scripted) next(r *http.Request) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	if q.Has("passing") {
		s.other = append(s.other, r.URL.String())
	}
	if q.Has("consistent") {
		s.consistent[len(s.asked)] = true
	}
	s.asked, s.when = append(s.asked, q.Get("index")), append(s.when, time.Now())
	if len(s.answers) == 0 {
		return answer{}, false
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a, true
}

// queries waits for n of them and returns their index parameters and times.
func (s *scripted) queries(t *testing.T, n int) ([]string, []time.Time) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		asked, when := s.asked, s.when
		s.mu.Unlock()
		if len(asked) >= n {
			return asked[:n], when[:n]
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d queries in time, want %d", len(asked), n)
		}
	}
}

func follow(t *testing.T, s *scripted, service string) *catalog.Consul {
	t.Helper()
	c, err := catalog.NewConsul(catalog.ConsulConfig{
		Address: s.URL, Timing: catalog.Timing{MinBackoff: 20 * time.Millisecond, MaxBackoff: 40 * time.Millisecond},
	}, catalog.Options{Region: "eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	return running(t, c, service)
}

func TestWatchStartsAgainWhenTheIndexGoesBack(t *testing.T) {
	s := script(t, answer{index: "10", body: oneInstance}, answer{index: "20", body: oneInstance}, answer{index: "5", body: oneInstance}, answer{index: "6", body: oneInstance})
	follow(t, s, "alarms")
	asked, _ := s.queries(t, 5)
	if got, want := strings.Join(asked, ","), ",10,20,,6"; got != want {
		t.Errorf("asked from indexes %q, want %q", got, want)
	}
	if len(s.other) > 0 {
		t.Errorf("asked for passing instances only: %v", s.other)
	}
}

func TestWatchNeverHammersAServerThatDoesNotBlock(t *testing.T) {
	s := script(t, answer{body: oneInstance}, answer{body: oneInstance}, answer{index: "0", body: oneInstance}, answer{index: "0", body: oneInstance})
	follow(t, s, "alarms")
	asked, when := s.queries(t, 5)
	if got, want := strings.Join(asked[:2], ","), ",1"; got != want {
		t.Errorf("asked from indexes %q, want %q", got, want)
	}
	if took := when[4].Sub(when[0]); took < 380*time.Millisecond {
		t.Errorf("five queries in %s, want 100ms between two", took)
	}
}

func TestRightsLostBehindAStreamAreNotTakenForAnEmptyService(t *testing.T) {
	s := script(t, answer{index: "10", body: oneInstance}, answer{index: "11", body: "[]"}, answer{index: "11", filtered: true, body: "[]"})
	c := follow(t, s, "alarms")
	await(t, c, "filtered", stale(catalog.ErrFiltered))
	if asked, _ := s.queries(t, 3); asked[1] != "10" || asked[2] != "" {
		t.Errorf("asked from indexes %q, want the doubtful answer asked again without blocking", asked)
	}
	if got := c.Snapshot().Services["alarms"]; len(got) != 1 || got[0].Status != catalog.Ready {
		t.Errorf("instances %v", got)
	}
}

// A stream may go on as if the token still had its rights.
func TestAnAnswerThatBringsNothingNewIsAskedForWithoutTheStream(t *testing.T) {
	same := answer{index: "7", body: oneInstance}
	s := script(t, same, same, answer{index: "7", filtered: true, body: "[]"})
	c := follow(t, s, "alarms")
	await(t, c, "filtered", stale(catalog.ErrFiltered))
	if asked, _ := s.queries(t, 3); asked[1] != "7" || asked[2] != "" {
		t.Errorf("asked from indexes %q", asked)
	}
	if got := c.Snapshot().Services["alarms"]; len(got) != 1 || got[0].Status != catalog.Ready {
		t.Errorf("instances %v", got)
	}
}

func TestMalformedAnswerIsAFailureNotAnEmptyService(t *testing.T) {
	s := script(t, answer{index: "10", body: oneInstance}, answer{index: "11", body: `{"not":"a list"`}, answer{index: "12", body: `[{}, {"Node":null,"Service":null}]`}, answer{index: "12", body: `[{}]`})
	c := follow(t, s, "alarms")
	await(t, c, "the malformed answer is no answer", stale(catalog.ErrUnavailable))
	if asked, _ := s.queries(t, 3); asked[2] != "" {
		t.Errorf("asked from index %q after a failure: recovery does not show at once", asked[2])
	}
	await(t, c, "entries without address are no instances", stale(catalog.ErrEmpty))
	if got := c.Snapshot().Services["alarms"]; len(got) != 1 || got[0].Status != catalog.Ready {
		t.Errorf("instances %v", got)
	}
}

func TestNameThatIsNoServiceIsNeverAsked(t *testing.T) {
	s := script(t)
	c := follow(t, s, "../../kv/secret")
	await(t, c, "refused", func(snap *catalog.Snapshot) bool {
		return snap.Stale && strings.Contains(snap.Err.Error(), "cannot be the name")
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		t.Errorf("asked %d times", len(s.asked))
	}
}

func TestRunEndsAtOnceWhileAQueryBlocks(t *testing.T) {
	s := script(t)
	c, err := catalog.NewConsul(catalog.ConsulConfig{Address: s.URL}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Watch([]string{"alarms"})
	stop := run(t, c)
	s.queries(t, 1)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Run took %s to end", took)
	}
}

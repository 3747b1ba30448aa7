//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/tidegate/tidegate/test/child"
)

// witness is a process beside an agent, at its address and paused with it, that has
// a node in two pools of all agents' witnesses, one with memberlist's own WAN
// profile and one with its LAN profile: what would they have decided?
type witness struct {
	agent   *agent
	proc    *child.Process
	readers sync.WaitGroup

	mu   sync.Mutex // guards said
	said []testimony
}

// testimony is what a witness decided about another one.
type testimony struct {
	At    time.Time
	Pool  string // the profile
	What  string // one of suspected, dead, alive
	About string // agent
}

const (
	suspected = "suspected"
	dead      = "dead"
	alive     = "alive"
)

// profiles of memberlist, and the port of each pool.
var profiles = []struct {
	name    string
	port    int
	profile func() *memberlist.Config
}{
	{"memberlist WAN", 7956, memberlist.DefaultWANConfig},
	{"memberlist LAN", 7957, memberlist.DefaultLANConfig},
}

// summons is what a witness is told on its input.
type summons struct {
	Name  string
	IP    string
	Peers []string // addresses of all
}

func (m *mesh) startWitnesses() (all []*witness, err error) {
	var peers []string
	for _, a := range m.agents() {
		peers = append(peers, a.IP.String())
	}
	for _, a := range m.agents() {
		w := &witness{agent: a}
		if err := w.start(m, summons{a.name, a.IP.String(), peers}); err != nil {
			return all, err
		}
		all = append(all, w)
	}
	return all, nil
}

func (w *witness) start(m *mesh, told summons) error {
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("/proc/self/exe", roleWitness)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(text), out
	if w.proc, err = w.agent.region.net.Start(cmd, filepath.Join(m.logs, w.agent.name+"-witness.log")); err != nil {
		_ = r.Close()
		return err
	}
	w.readers.Go(func() {
		defer r.Close()
		for in := json.NewDecoder(r); ; {
			var t testimony
			if in.Decode(&t) != nil {
				return
			}
			w.mu.Lock()
			w.said = append(w.said, t)
			w.mu.Unlock()
		}
	})
	return nil
}

func (w *witness) stop() {
	w.proc.Kill()
	w.readers.Wait()
}

// testimonies of a pool about others, in their order.
func (w *witness) testimonies(pool string) []testimony {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.said), func(t testimony) bool { return t.Pool != pool })
}

// knows says whether it holds so many others alive in a pool.
func (w *witness) knows(pool string, others int) bool {
	held := map[string]bool{}
	for _, t := range w.testimonies(pool) {
		switch t.What {
		case alive:
			held[t.About] = true
		case dead:
			delete(held, t.About)
		}
	}
	return len(held) >= others
}

const roleWitness = "bear-witness"

// bearWitness plays a witness until it is killed.
func bearWitness() error {
	var s summons
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	tell := newTeller(os.Stdout)
	ended := make(chan error, len(profiles))
	for _, p := range profiles {
		cfg := p.profile()
		cfg.Name, cfg.BindAddr, cfg.BindPort, cfg.AdvertisePort = s.Name, s.IP, p.port, p.port
		stand := &stand{pool: p.name, self: s.Name, tell: tell}
		cfg.Events, cfg.Logger = stand, log.New(stand, "", 0)
		list, err := memberlist.Create(cfg)
		if err != nil {
			return err
		}
		go func() { ended <- joinAll(list, s.Peers, p.port) }()
	}
	return <-ended
}

// joinAll joins again and again while somebody is missing, as Serf does.
func joinAll(list *memberlist.Memberlist, peers []string, port int) error {
	for {
		if list.NumMembers() < len(peers) {
			var at []string
			for _, ip := range peers {
				at = append(at, fmt.Sprintf("%s:%d", ip, port))
			}
			_, _ = list.Join(at) // some may be cut off
		}
		time.Sleep(2 * time.Second)
	}
}

// stand hears what a node of memberlist decides: events, and of suspicions the
// line that it logs.
type stand struct {
	pool, self string
	tell       *teller
}

func (s *stand) say(what, about string) {
	if about != s.self {
		s.tell.print(testimony{time.Now(), s.pool, what, about})
	}
}

func (s *stand) NotifyJoin(n *memberlist.Node)   { s.say(alive, n.Name) }
func (s *stand) NotifyLeave(n *memberlist.Node)  { s.say(dead, n.Name) }
func (s *stand) NotifyUpdate(n *memberlist.Node) {}

func (s *stand) Write(line []byte) (int, error) {
	if _, about, found := strings.Cut(string(line), "Suspect "); found {
		if name, _, found := strings.Cut(about, " has failed"); found {
			s.say(suspected, name)
		}
	}
	return os.Stderr.Write(line)
}

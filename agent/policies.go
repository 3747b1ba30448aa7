package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/agent/catalog"
	"github.com/tidegate/tidegate/agent/config"
	"github.com/tidegate/tidegate/policy"
)

// policies keeps the policy in force and follows its source. A policy that
// does not compile is refused, visibly, and the old one stays.
type policies struct {
	source  string // file:PATH or consul-kv:KEY, for people
	file    string
	key     string
	consul  *catalog.Consul // with key
	kept    *kept           // with key
	log     *slog.Logger
	metrics *metrics
	changed chan struct{} // capacity 1

	now     atomic.Pointer[policy.Policy]
	loading sync.Mutex // held from reading the file to offering it, so that the newest wins

	mu      sync.Mutex // guards what follows
	since   time.Time
	refused *admin.PolicyRefused
}

// newPolicies loads a policy file at once, because an agent without the policy
// it was given must not start; a policy in Consul may come later.
func newPolicies(a *Agent) (*policies, error) {
	p := &policies{
		file: a.cfg.Policy.File, key: a.cfg.Policy.ConsulKV,
		log: a.log, metrics: a.metrics, changed: make(chan struct{}, 1),
	}
	if p.file != "" {
		p.source = "file:" + p.file
		return p, p.loadFile()
	}
	p.source = "consul-kv:" + p.key
	p.kept = &kept{file: filepath.Join(a.cfg.DataDir, "policy.hcl"), log: a.log}
	consul, ok := a.catalog.(*catalog.Consul)
	if !ok {
		return nil, fmt.Errorf("policy.consul_kv: %w: needs a consul catalog", config.ErrInvalid)
	}
	p.consul = consul
	p.loadKept()
	return p, nil
}

func (p *policies) current() *policy.Policy { return p.now.Load() }

// offer compiles a policy and puts it in force, or refuses it.
func (p *policies) offer(files ...policy.File) error {
	compiled, err := policy.Parse(files...)
	if err != nil {
		p.refuse(err)
		return err
	}
	old := p.now.Swap(compiled)
	p.metrics.policies.WithLabelValues("accepted").Inc()
	p.metrics.policyOK.Set(1)
	p.mu.Lock()
	p.refused = nil
	if old == nil || old.Version() != compiled.Version() {
		p.since = time.Now()
	}
	p.mu.Unlock()
	p.log.Info("policy in force", "version", compiled.Version(), "source", p.source, "routes", len(compiled.Routes()))
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return nil
}

func (p *policies) refuse(err error) {
	p.metrics.policies.WithLabelValues("refused").Inc()
	p.metrics.policyOK.Set(0)
	r := &admin.PolicyRefused{At: time.Now(), Error: err.Error(), Diagnostics: admin.Diagnostics(err)}
	p.mu.Lock()
	p.refused = r
	p.mu.Unlock()
	p.log.Error("policy refused, the old one stays", "source", p.source, "error", err)
}

func (p *policies) loadFile() error {
	files, err := readPolicy(p.file)
	if err != nil {
		err = fmt.Errorf("policy.file: %w: %w", config.ErrInvalid, err)
		p.refuse(err)
		return err
	}
	return p.offer(files...)
}

// readPolicy reads a file, or every *.hcl of a directory in the order of their
// names.
func readPolicy(path string) ([]policy.File, error) {
	names := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(path, "*.hcl")); err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s holds no *.hcl file: an empty policy would refuse everything", path)
		}
		sort.Strings(names)
	}
	files := make([]policy.File, len(names))
	for i, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[i] = policy.File{Name: name, Src: src}
	}
	return files, nil
}

// follow watches the source until ctx ends.
func (p *policies) follow(ctx context.Context) {
	if p.file != "" {
		p.followFile(ctx)
		return
	}
	var keeping sync.WaitGroup
	defer keeping.Wait()
	keeping.Go(func() { p.kept.run(ctx) })
	err := p.consul.WatchKV(ctx, p.key, func(value []byte, _ uint64) {
		if len(value) == 0 {
			p.noteAbsent()
			return
		}
		if p.offer(policy.File{Name: p.key, Src: value}) == nil {
			p.kept.keep(value)
		}
	})
	if err != nil {
		p.log.Error("policy key is not followed", "key", p.key, "error", err)
	}
}

// noteAbsent: a key that has no policy yet is how every mesh begins; one that
// lost it is not.
func (p *policies) noteAbsent() {
	if p.current() == nil {
		p.log.Info("no policy under the key yet", "key", p.key)
		return
	}
	p.log.Warn("the policy was taken away; the old one stays", "key", p.key)
}

// loadKept starts with the last policy that was good, if there is one.
func (p *policies) loadKept() {
	src, err := p.kept.read()
	if err == nil && src != nil {
		err = p.offer(policy.File{Name: p.kept.file, Src: src})
	}
	if err != nil {
		p.log.Warn("kept policy is of no use", "file", p.kept.file, "error", err)
	}
}

// followFile watches the directory: editors and configuration managers replace
// files rather than write them.
func (p *policies) followFile(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		dir := p.file
		if info, serr := os.Stat(p.file); serr != nil || !info.IsDir() {
			dir = filepath.Dir(p.file)
		}
		err = w.Add(dir)
	}
	if err != nil {
		p.log.Warn("policy file is not watched; send SIGHUP after a change", "file", p.file, "error", err)
		<-ctx.Done()
		return
	}
	p.settle(ctx, w)
}

// settle reloads once a burst of changes is over, and during one that does not
// end: another file in the directory may change all the time.
func (p *policies) settle(ctx context.Context, w *fsnotify.Watcher) {
	const quiet, longest = 100 * time.Millisecond, time.Second
	due := time.NewTimer(longest)
	due.Stop()
	var latest time.Time // zero: nothing has changed since the last reload
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Events:
			if latest.IsZero() {
				latest = time.Now().Add(longest)
			}
			due.Reset(min(quiet, time.Until(latest)))
		case err := <-w.Errors:
			p.log.Warn("watching the policy file", "error", err)
		case <-due.C:
			latest = time.Time{}
			p.reload()
		}
	}
}

// reload loads the file again unless it says what is in force already.
func (p *policies) reload() {
	if p.file == "" {
		return
	}
	p.loading.Lock()
	defer p.loading.Unlock()
	files, err := readPolicy(p.file)
	if err == nil && sameSource(files, p.current()) && !p.refusing() {
		return
	}
	_ = p.loadFile() // refused visibly
}

// refusing: the newest policy offered is not the one in force.
func (p *policies) refusing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused != nil
}

func sameSource(files []policy.File, current *policy.Policy) bool {
	if current == nil {
		return false
	}
	held := current.Source()
	if len(held) != len(files) {
		return false
	}
	for i := range files {
		if string(held[i].Src) != string(files[i].Src) {
			return false
		}
	}
	return true
}

func (p *policies) answer() admin.PolicyAnswer {
	current := p.current()
	p.mu.Lock()
	defer p.mu.Unlock()
	ans := admin.PolicyAnswer{Source: p.source, Since: p.since, Refused: p.refused}
	if current == nil {
		return ans
	}
	ans.Version = current.Version()
	for _, f := range current.Source() {
		ans.Files = append(ans.Files, admin.PolicyFile{Name: f.Name, Source: string(f.Src)})
	}
	return ans
}

// apply validates a policy and writes it into every datacenter.
func (p *policies) apply(ctx context.Context, in admin.PolicyApply) (admin.PolicyApplied, error) {
	if p.consul == nil {
		return admin.PolicyApplied{}, fmt.Errorf("%w: this agent's policy is %s: change it there, or set policy.consul_kv", config.ErrInvalid, p.source)
	}
	if len(in.Files) != 1 {
		return admin.PolicyApplied{}, fmt.Errorf("%w: %d files: a key holds exactly one", config.ErrInvalid, len(in.Files))
	}
	src := []byte(in.Files[0].Source)
	compiled, err := policy.Parse(policy.File{Name: in.Files[0].Name, Src: src})
	if err != nil {
		return admin.PolicyApplied{}, err
	}
	results, err := p.consul.PutAll(ctx, p.key, src)
	out := admin.PolicyApplied{Version: compiled.Version()}
	for _, r := range results {
		dc := admin.PolicyDatacenter{Name: r.Datacenter}
		if r.Err != nil {
			dc.Error = r.Err.Error()
		}
		out.Datacenters = append(out.Datacenters, dc)
	}
	return out, err
}

package drill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tidegate/tidegate/agent/ledger"
	"github.com/tidegate/tidegate/agent/load"
	"github.com/tidegate/tidegate/policy"
)

const (
	maxJournals  = 100
	journalLimit = time.Minute // for an answer
)

func (c checker) ledgerOf(b *ledgerBlock) error {
	if b == nil {
		return nil
	}
	at := where(b.Body, b.Place, "journals")
	switch {
	case c.Observe:
		return c.invalid(b.Place, "ledger: an observed drill has no devices of its own that number what they send")
	case len(b.Journals) == 0 || len(b.Journals) > maxJournals:
		return c.invalid(at, "%d journals: use 1 to %d", len(b.Journals), maxJournals)
	}
	for _, journal := range b.Journals {
		if u, err := url.Parse(journal); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return c.invalid(at, "journal %q: use a URL like \"http://HOST:PORT/journal\"", journal)
		}
	}
	c.journals = b.Journals
	return nil
}

// journals are those of a mesh's services, for one run of a drill.
type journals struct {
	run string // begins the ids of its messages
	all []journal

	// signed: services tell in each answer over HTTP that it is theirs, so that what a
	// route answers by itself can be left out.
	signed bool

	forgotten uint64 // entries that had been dropped when the run began
	pages     [][]ledger.Entry
	lost      bool // some were dropped during the run, or could not be read
}

// journal reads one.
type journal func(ctx context.Context, run string) (ledger.Page, error)

func newJournals(all ...journal) *journals {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return &journals{run: hex.EncodeToString(id[:]), all: all}
}

// open sees to it that every journal can be read before there is anything in it.
func (j *journals) open(ctx context.Context) error {
	forgotten, _, err := j.read(ctx)
	j.forgotten = forgotten
	return err
}

// close reads what came of the run.
func (j *journals) close(ctx context.Context) error {
	forgotten, pages, err := j.read(ctx)
	j.pages, j.lost = pages, err != nil || forgotten != j.forgotten
	return err
}

func (j *journals) read(ctx context.Context) (forgotten uint64, pages [][]ledger.Entry, err error) {
	for _, one := range j.all {
		p, err := one(ctx, j.run)
		if err != nil {
			return 0, nil, err
		}
		forgotten += p.Forgotten
		pages = append(pages, p.Entries)
	}
	return forgotten, pages, nil
}

// journalAt is served at a URL.
func journalAt(address string) journal {
	return func(ctx context.Context, run string) (ledger.Page, error) {
		ctx, cancel := context.WithTimeout(ctx, journalLimit)
		defer cancel()
		p, err := fetch(ctx, address, run)
		if err != nil {
			return p, fmt.Errorf("read journal %s: %w: does the service run, and keep one?", address, err)
		}
		return p, nil
	}
}

func fetch(ctx context.Context, address, run string) (ledger.Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ledger.Page{}, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return ledger.Page{}, errors.Unwrap(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ledger.Page{}, fmt.Errorf("status %d", resp.StatusCode)
	}
	return ledger.Read(resp.Body, run)
}

// join compares what was sent in a scope with the journals.
func (r *record) join(s *scope) *ledger.Ledger {
	var sent []ledger.Sent
	r.each(s, func(res *load.Result, _ time.Duration) {
		if r.journals.concern(res) {
			sent = append(sent, ledger.Sent{ID: res.ID(r.journals.run), Stream: res.Device + " " + res.Kind.Path,
				Number: res.Number, Class: res.Kind.Class.String(), Fate: fateOf(res)})
		}
	})
	return ledger.Join(sent, r.journals.pages)
}

// concern says whether a message was for a service: a route may answer by itself.
func (j *journals) concern(res *load.Result) bool {
	return !j.signed || res.Region != "" || res.Outcome() != load.Succeeded
}

func fateOf(res *load.Result) ledger.Fate {
	switch res.Outcome() {
	case load.Succeeded:
		return ledger.Acknowledged
	case load.Shed:
		return ledger.Refused
	}
	return ledger.Unknown
}

// tooShort is why nothing can be said of what journals have forgotten.
const tooShort = "a journal was full and dropped entries during the drill"

func (r *record) ofLedger(i *Invariant, count func(*ledger.Ledger) int) (value float64, samples int, note string) {
	switch {
	case r.journals == nil:
		return 0, 0, "there is no ledger"
	case r.journals.lost:
		return 0, 0, tooShort
	}
	l := r.join(&i.scope)
	return float64(count(l)), l.Sent, ""
}

func (r *record) lost(i *Invariant) (value float64, samples int, note string) {
	return r.ofLedger(i, func(l *ledger.Ledger) int { return l.Lost })
}

func (r *record) duplicated(i *Invariant) (value float64, samples int, note string) {
	return r.ofLedger(i, func(l *ledger.Ledger) int { return l.Duplicated })
}

func (r *record) reordered(i *Invariant) (value float64, samples int, note string) {
	return r.ofLedger(i, func(l *ledger.Ledger) int { return l.Reordered })
}

// needsLedger says which invariant cannot be judged without one.
func (d *Drill) needsLedger() error {
	for n := range d.Invariants {
		if i := &d.Invariants[n]; metrics[i.Metric].ledger {
			return fmt.Errorf("%w: drill %s: invariant %q needs a ledger: say where the services of the running mesh keep their journals", policy.ErrInvalid, d.Name, i.Name)
		}
	}
	return nil
}

package ledger

import (
	"bufio"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Journal remembers what a service accepted, in memory. It is safe for concurrent use.
type Journal struct {
	most int

	mu        sync.Mutex // guards what follows
	entries   []Entry    // a ring once it is full
	oldest    int
	forgotten uint64
}

// NewJournal makes a journal that remembers the latest entries, at most so many; at
// least 1.
func NewJournal(most int) *Journal { return &Journal{most: most} }

// Accept notes the messages of a request that the service is about to answer with
// 2xx: the one that its header names, or each of a batch of CloudEvents. A request
// without an id is nobody's to miss.
func (j *Journal) Accept(header http.Header, body []byte) {
	ids := []string{header.Get(Header)}
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind == batchType {
		ids = idsOf(body)
	}
	for _, id := range ids {
		if fit(id) {
			j.note(Entry{id, time.Now()})
		}
	}
}

// batchType is that of several CloudEvents in one request (CloudEvents 1.0, HTTP
// binding, section 3.3), each with its id in an extension attribute.
const (
	batchType      = "application/cloudevents-batch+json"
	batchAttribute = "messageid"
)

func idsOf(batch []byte) (ids []string) {
	var events []map[string]any
	if json.Unmarshal(batch, &events) != nil {
		return nil
	}
	for _, e := range events {
		id, _ := e[batchAttribute].(string)
		ids = append(ids, id)
	}
	return ids
}

func fit(id string) bool {
	return id != "" && len(id) <= maxID && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

func (j *Journal) note(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) < j.most {
		j.entries = append(j.entries, e)
		return
	}
	j.entries[j.oldest] = e
	j.oldest = (j.oldest + 1) % j.most
	j.forgotten++
}

// Page is what the journal holds of one run.
func (j *Journal) Page(run string) Page {
	p := j.whole()
	p.Entries = slices.DeleteFunc(p.Entries, func(e Entry) bool { return !strings.HasPrefix(e.ID, run+"/") })
	return p
}

func (j *Journal) whole() Page {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Page{slices.Concat(j.entries[j.oldest:], j.entries[:j.oldest]), j.forgotten}
}

// ServeHTTP answers with the whole journal, as Read understands it.
func (j *Journal) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p := j.whole()
	w.Header().Set("Content-Type", "application/jsonl")
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	if p.Forgotten > 0 {
		_ = lines.Encode(line{Forgotten: p.Forgotten}) // a client that left
	}
	for n := range p.Entries {
		if lines.Encode(&p.Entries[n]) != nil {
			return
		}
	}
	_ = out.Flush()
}

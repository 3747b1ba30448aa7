package drill

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/dev"
)

func TestLedgerOfAnOwnMeshCountsEveryMessage(t *testing.T) {
	for _, mqtt := range []string{"", "quic", "tls"} {
		t.Run("mqtt "+mqtt, func(t *testing.T) {
			text := strings.Replace(short, `devices = 4`, "devices = 4\n    mqtt = \""+mqtt+"\"", 1)
			rep, err := Run(t.Context(), parse(t, text, "30000"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			l, c := rep.Ledger, rep.Load.Classes["critical"]
			if l == nil || l.Sent != int(c.Sent) || l.Sent < 200 || l.Acknowledged != int(c.Succeeded) || l.Accepted < l.Acknowledged || l.Lost != 0 || l.Counts != *l.Classes["critical"] {
				t.Errorf("%+v of %+v", l, c)
			}
			if added := rep.Invariants[2]; added.Name != "nothing acknowledged is lost" || !added.Pass || added.Samples != l.Sent {
				t.Errorf("%+v", added)
			}
		})
	}
}

func TestLedgerCountsTheMessagesOfBatches(t *testing.T) {
	text := strings.NewReplacer("devices = 4", "devices = 4\n mqtt = \"quic\"", "    agents  = 1", "    agents  = 1\n policy = \"batch.policy.hcl\"").Replace(fmt.Sprintf(short, "30000"))
	file := filepath.Join(t.TempDir(), "batch.hcl")
	policyText, err := os.ReadFile("testdata/batch.policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(text), filepath.Join(filepath.Dir(file), "batch.policy.hcl"): policyText} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if l := rep.Ledger; l.Acknowledged < 200 || l.Accepted != l.Acknowledged || l.Lost != 0 {
		t.Errorf("%+v", l)
	}
}

// journalsOf are the addresses at which a mesh's services keep their journals.
func journalsOf(m *dev.Mesh, service string) (all []string) {
	for _, r := range m.Regions {
		for _, i := range r.Instances {
			if i.Service == service {
				all = append(all, "http://"+i.Addr()+"/journal")
			}
		}
	}
	return all
}

func TestLedgerOfARunningMeshNoticesWhatIsLost(t *testing.T) {
	m, r := running(t)
	all := journalsOf(m, "alarms")
	for name, c := range map[string]struct {
		journals []string
		lost     bool
	}{
		"all journals":            {all, false},
		"one instance's left out": {all[1:], true},
	} {
		quoted, err := json.Marshal(c.journals)
		if err != nil {
			t.Fatal(err)
		}
		d := parse(t, with(short, fmt.Sprintf("  ledger {\n    journals = %s\n  }\n", quoted)), "30000")
		rep, err := Run(t.Context(), d, Options{Running: r})
		if err != nil {
			t.Fatal(err)
		}
		if lost := rep.Invariants[2]; lost.Pass == c.lost || (rep.Ledger.Lost > 0) != c.lost || rep.Pass == c.lost {
			t.Errorf("%s: %+v, %+v", name, lost, rep.Ledger)
		}
	}
}

func TestJournalOutOfReachIsNoticedBeforeAnythingIsBroken(t *testing.T) {
	m, r := running(t)
	for says, block := range map[string]string{
		"connection refused": `  ledger { journals = ["http://127.0.0.1:1/journal"] }`,
		"status 401":         fmt.Sprintf(`  ledger { journals = ["http://%s/v1/nothing"] }`, m.Regions[0].Agents[0].AdminAddr()),
		"where the services": "  invariant \"nothing is lost\" {\n metric = \"lost\"\n at_most = 0\n }",
		"journal: line 1":    fmt.Sprintf(`  ledger { journals = ["http://%s/"] }`, m.Regions[0].Instances[0].Addr()),
	} {
		began := time.Now()
		if _, err := Run(t.Context(), parse(t, with(short, block), "30000"), Options{Running: r}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if time.Since(began) > 2*time.Second {
			t.Errorf("%s: only after %s", says, time.Since(began))
		}
	}
}

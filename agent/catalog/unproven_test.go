package catalog

import (
	"errors"
	"testing"

	"github.com/hashicorp/consul/api"
)

// restored is an instance as a restarted Consul lists it.
func restored(id string) Instance {
	i := inst(id, Critical)
	i.unproven = true
	return i
}

// backAgain is a ledger whose source listed a ready and a critical instance, did
// not answer, and is back at second 100.
func backAgain(t *testing.T) *ledger {
	t.Helper()
	l := following(t, nil)
	l.answer("alarms", []Instance{inst("a", Ready), inst("b", Critical)}, false, at(0))
	l.fail("alarms", errors.New("connection refused"))
	l.answer("alarms", []Instance{restored("a"), restored("b"), restored("new")}, false, at(100))
	return l
}

func TestChecksThatHaveNotRunSinceConsulIsBackMakeNothingSick(t *testing.T) {
	l := backAgain(t)
	wantStates(t, l, "a=ready b=critical new=critical")
	l.answer("alarms", []Instance{inst("a", Critical), restored("b"), restored("new")}, false, at(101))
	wantStates(t, l, "a=critical b=critical new=critical") // its check ran
}

func TestChecksThatNeverRunAreBelievedAfterATime(t *testing.T) {
	l := backAgain(t)
	if l.expire(at(129)) {
		t.Error("believed too soon")
	}
	if !l.expire(at(130)) {
		t.Error("not believed in time")
	}
	wantStates(t, l, "a=critical b=critical new=critical")
	if l.expire(at(131)) {
		t.Error("believed twice")
	}
	l.answer("alarms", []Instance{inst("a", Ready)}, false, at(140))
	l.answer("alarms", []Instance{restored("a")}, false, at(141))
	if s := l.snapshot().Services["alarms"]; s[0].Status != Critical {
		t.Errorf("%v: nobody restarted Consul, and its word is doubted", s)
	}
}

func TestWhatVanishesWhileItIsDoubtedIsDistrusted(t *testing.T) {
	l := backAgain(t)
	l.answer("alarms", []Instance{inst("b", Ready)}, false, at(101))
	wantStates(t, l, "a=distrusted b=ready new=distrusted")
	l.expire(at(131))
	wantStates(t, l, "a=distrusted b=ready new=distrusted")
}

func TestOnlyChecksWithoutOutputAreUnproven(t *testing.T) {
	for _, c := range []struct {
		what   string
		checks api.HealthChecks
		want   bool
	}{
		{"restored", api.HealthChecks{{Status: api.HealthCritical}}, true},
		{"one of two ran, and passes", api.HealthChecks{{Status: api.HealthCritical}, {Status: api.HealthPassing, Output: "200 OK"}}, true},
		{"one of two ran, and fails", api.HealthChecks{{Status: api.HealthCritical}, {Status: api.HealthCritical, Output: "500"}}, false},
		{"it ran, and fails", api.HealthChecks{{Status: api.HealthCritical, Output: "connection refused"}}, false},
		{"it passes", api.HealthChecks{{Status: api.HealthPassing}}, false},
		{"maintenance", api.HealthChecks{{CheckID: api.ServiceMaintPrefix + "a", Status: api.HealthCritical}}, false},
		{"none", nil, false},
	} {
		if got := unproven(c.checks); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

package catalog

import "testing"

// emptied is a ledger whose only service had an instance at an index, then none.
func emptied(t *testing.T, shelf map[string]saved, index uint64) (*ledger, *record) {
	t.Helper()
	l := following(t, shelf)
	r := l.records["alarms"]
	if index > 0 {
		r.saw(index, 1)
		l.answer("alarms", []Instance{inst("a", Ready)}, false, at(0))
	}
	r.saw(index+1, 0)
	l.answer("alarms", nil, false, at(10))
	return l, r
}

func TestEmptyServiceIsDoubtedForItsTime(t *testing.T) {
	l, r := emptied(t, nil, 7)
	if r.mayBeGone(at(309), l.distrustFor) || !r.mayBeGone(at(310), l.distrustFor) {
		t.Error("want it asked for again after 300 s without instances, not before")
	}
	if !l.clear("alarms", at(311)) || l.clear("alarms", at(312)) || l.clear("other", at(312)) {
		t.Error("want what is empty cleared, once")
	}
	if s := l.snapshot(); s.Stale || len(s.Services["alarms"]) > 0 || !s.Updated.Equal(at(311)) {
		t.Errorf("after it was cleared: %+v", s)
	}
}

func TestEmptyServiceOfAnEarlierRunIsComparedWithItsIndexThen(t *testing.T) {
	before, _ := emptied(t, nil, 7)
	kept := before.save()
	if l, r := emptied(t, kept, 0); r.mayBeGone(at(1000), l.distrustFor) {
		t.Error("an index that went back since the last run goes unnoticed")
	}
	l := following(t, before.save())
	r := l.records["alarms"]
	r.saw(8, 0)
	l.answer("alarms", nil, false, at(10))
	if !r.mayBeGone(at(310), l.distrustFor) {
		t.Error("not asked again after a restart")
	}
	kept["alarms"] = saved{Updated: t0, Instances: []Instance{inst("a", Ready)}}
	if l, r := emptied(t, kept, 0); r.mayBeGone(at(1000), l.distrustFor) {
		t.Error("an index that is not known is taken for an older one")
	}
}

package agent

import (
	"reflect"
	"testing"
	"time"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

func TestOverrideIsShownWhileItHolds(t *testing.T) {
	v := &policy.View{Overrides: map[string]policy.Override{
		"eu-1": {Kind: policy.Evacuate, Reason: "switches", By: "a1"},
		"eu-2": {Kind: policy.Pin, Expires: time.Now().Add(time.Minute)},
		"us-1": {Kind: policy.Freeze, Expires: time.Now().Add(-time.Second)},
	}}
	if o := overrideOf(v, "eu-1"); o == nil || *o != (admin.Override{Kind: "evacuate", Reason: "switches", By: "a1"}) {
		t.Errorf("without an end: %+v", o)
	}
	if o := overrideOf(v, "eu-2"); o == nil || o.LeftSeconds == nil || *o.LeftSeconds < 55 || *o.LeftSeconds > 60 {
		t.Errorf("with an end: %+v", o)
	}
	for _, region := range []string{"us-1", "nowhere"} {
		if o := overrideOf(v, region); o != nil {
			t.Errorf("%s: %+v", region, o)
		}
	}
}

func TestLoadsOfServicesAddUpWithoutTheirSubsets(t *testing.T) {
	loads := map[string]policy.Load{
		"a":        {InFlight: 3, Capacity: 100, Demand: [4]float64{policy.Bulk: 5}, Threshold: 7, QueueWait: time.Second},
		"a/canary": {InFlight: 1, Capacity: 10, Demand: [4]float64{policy.Bulk: 1}},
		"b":        {InFlight: 2, Capacity: 50, Demand: [4]float64{policy.Bulk: 1, policy.Critical: 2}, Threshold: 9},
		"idle":     {},
	}
	want := &admin.RegionLoad{Capacity: 150, Demand: admin.ByClass{"bulk": 6, "critical": 2}, InFlight: 5,
		Threshold: policy.Rank(9).String(), QueueWaitSeconds: 1}
	if got := sumLoads(loads); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	loads["busy"] = policy.Load{Demand: [4]float64{policy.Normal: 1}}
	if got := sumLoads(loads); got.Capacity != 0 {
		t.Errorf("a service of unknown capacity is left out of %g", got.Capacity)
	}
}

func TestExpectedSpillAddsUpByCause(t *testing.T) {
	v := &policy.View{Shares: map[string]*policy.Shares{
		"a": {Expected: []policy.Inbound{{From: "us-1", Rates: [4]float64{policy.Bulk: 1}}}},
		"b": {Expected: []policy.Inbound{{From: "us-1", Rates: [4]float64{policy.Bulk: 2}}, {From: "eu-2", Rates: [4]float64{policy.High: 3}}}},
	}}
	want := []admin.Inbound{{From: "eu-2", Rates: admin.ByClass{"high": 3}}, {From: "us-1", Rates: admin.ByClass{"bulk": 3}}}
	if got := sumExpected(v); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAdmissionsAreShownByServiceAndRegion(t *testing.T) {
	all := admitting{
		"a":        {"": {Limit: 10, InFlight: 3, Queued: 1, Rejecting: 0.2}, "eu-2": {Limit: 5}},
		"a/canary": {"": {Limit: 2, Queued: 1, Rejecting: 0.5}},
	}
	service := admin.Service{Name: "a", Regions: []admin.ServiceRegion{{Region: "eu-2"}, {Region: "us-1"}}}
	all.addTo(&service)
	if service.Admission == nil || service.Admission.InFlight != 3 || service.Admission.Limit != 10 {
		t.Errorf("here: %+v", service.Admission)
	}
	if there := service.Regions[0].Admission; there == nil || there.Limit != 5 || service.Regions[1].Admission != nil {
		t.Errorf("elsewhere: %+v, %+v", there, service.Regions[1].Admission)
	}
	var own, other admin.Region
	all.sumTo(&own, "")
	all.sumTo(&other, "us-1")
	if own.Limit != 12 || own.Queued != 2 || own.Rejecting != 0.5 || other.Limit != 0 {
		t.Errorf("regions: %+v, %+v", own, other)
	}
}

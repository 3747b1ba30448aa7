package transport

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestForwardCrossesTheMesh(t *testing.T) {
	for _, want := range []Forward{
		{Class: policy.Critical, Rank: policy.MaxRank, Deadline: 1500 * time.Millisecond, Target: policy.Target{Service: "alarms", Subset: "canary"}, Device: "urn:d:1", Route: "alarms", Region: "eu-1", Repeat: policy.IdempotentNever},
		{Class: policy.Bulk, Rank: policy.RankOf(policy.Bulk, 3, false, true), Deadline: time.Millisecond, Target: policy.Target{Service: "t"}, Region: "r"},
		{Deadline: time.Second, Target: policy.Target{Service: "t"}, Region: "r", Repeat: policy.IdempotentAlways, Messages: policy.MaxBatch},
	} {
		h := http.Header{HeaderSubset: {"stale"}, HeaderDevice: {"stale"}, HeaderRepeat: {"never"}, HeaderMessages: {"7"}, "Tidegate-Later": {"x"}}
		want.Set(h)
		if got, err := ReadForward(h); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestForgedForwardIsRefused(t *testing.T) {
	for name, bad := range map[string][]string{
		HeaderClass:    {"urgent"},
		HeaderDeadline: {"3600001"}, // longer than MaxDeadline
		HeaderRank:     {"1535"},    // critical, where the class is bulk
		HeaderService:  {"a b"},
		HeaderSubset:   {"../x"},
		HeaderDevice:   {"a", "b"},
		HeaderRegion:   {""},
		HeaderRepeat:   {"sometimes"},
		HeaderMessages: {"1001"},
	} {
		h := http.Header{}
		Forward{Deadline: time.Second, Target: policy.Target{Service: "s"}, Region: "r"}.Set(h)
		h[name] = bad
		if f, err := ReadForward(h); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%s %q: %+v, %v", name, bad, f, err)
		}
	}
}

func TestDeadlineThatIsNoTimeLeftIsRefused(t *testing.T) {
	h := http.Header{}
	Forward{Deadline: MaxDeadline, Target: policy.Target{Service: "s"}, Region: "r"}.Set(h)
	if f, err := ReadForward(h); err != nil || f.Deadline != MaxDeadline {
		t.Errorf("the longest: %s, %v", f.Deadline, err)
	}
	for _, bad := range []string{"", "0", "-1", "1.5", "1e3", "99999999999"} {
		h[HeaderDeadline] = []string{bad}
		if f, err := ReadForward(h); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q: %s, %v", bad, f.Deadline, err)
		}
	}
}

func TestRankOfAnOlderAgentIsTheMiddleOfItsClass(t *testing.T) {
	h := http.Header{}
	Forward{Class: policy.High, Rank: policy.RankOf(policy.High, 9, false, false), Deadline: time.Second, Target: policy.Target{Service: "s"}, Region: "r"}.Set(h)
	delete(h, HeaderRank)
	if f, err := ReadForward(h); err != nil || f.Rank != policy.RankOf(policy.High, 64, false, false) {
		t.Errorf("%s, %v", f.Rank, err)
	}
	for _, bad := range []string{"1536", "65536", "-1", "1e3", "high/local/1", "9", " "} {
		h[HeaderRank] = []string{bad}
		if f, err := ReadForward(h); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q: %s, %v", bad, f.Rank, err)
		}
	}
}

func TestEdgeStripsWhatDevicesMayNotSay(t *testing.T) {
	h := http.Header{
		"Tidegate-Class": {"critical"}, "Tidegate_class": {"critical"}, "tidegate-anything": {"x"}, "Ce-Id": {"1"}, "CE_ID": {"1"},
		"Forwarded": {"for=x"}, "X-Forwarded-For": {"x"}, "X_Forwarded_For": {"x"}, "X-Real-Ip": {"x"}, "Early-Data": {"1"},
		"Connection": {"close, X-Hop", "x-other"}, "X-Hop": {"1"}, "X-Other": {"1"}, "Keep-Alive": {"1"}, "Te": {"trailers"},
		"Trailer": {"a"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Proxy-Authorization": {"x"}, "Proxy-Connection": {"x"},
		"Content-Type": {"text/plain"}, "Cent": {"1"}, "Forwarded-Not": {"1"}, "X-Forward": {"1"}, "Tell": {"1"},
	}
	StripEdge(h)
	for _, stays := range []string{"Content-Type", "Cent", "Forwarded-Not", "X-Forward", "Tell"} {
		if h[stays] == nil {
			t.Errorf("%s is gone", stays)
		}
		delete(h, stays)
	}
	if len(h) != 0 {
		t.Errorf("left over: %v", h)
	}
}

func TestMeshHeadersStayInTheMesh(t *testing.T) {
	h := http.Header{"Tidegate-Class": {"bulk"}, "TIDEGATE-NEWER": {"1"}, "Ce-Id": {"1"}}
	StripMesh(h)
	if len(h) != 1 || h["Ce-Id"] == nil {
		t.Error(h)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("critical", "1535", "1500", "alarms", "canary", "urn:d:1", "alarms", "eu-1", "never")
	f.Add("CRITICAL", "65536", "0", "", "\x00", "é", "..", "%", "NEVER")
	f.Fuzz(func(t *testing.T, class, rank, deadline, service, subset, device, route, region, repeat string) {
		forward, err := ReadForward(http.Header{
			HeaderClass: {class}, HeaderRank: {rank}, HeaderDeadline: {deadline}, HeaderService: {service}, HeaderSubset: {subset},
			HeaderDevice: {device}, HeaderRoute: {route}, HeaderRegion: {region}, HeaderRepeat: {repeat},
		})
		if err != nil {
			if !errors.Is(err, policy.ErrInvalid) || forward != (Forward{}) {
				t.Fatalf("%+v, %v", forward, err)
			}
			return
		}
		again := http.Header{}
		forward.Set(again)
		if got, err := ReadForward(again); err != nil || got != forward {
			t.Fatalf("%+v comes back as %+v, %v", forward, got, err)
		}
	})
}

package agent

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidegate/tidegate/policy"
)

func TestDevicesSayHowLongTheyWait(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   time.Duration
		fault  deadlineFault
	}{
		{nil, 0, ""},
		{[]string{"2"}, 2 * time.Second, ""},
		{[]string{"0.25"}, 250 * time.Millisecond, ""},
		{[]string{".5"}, 500 * time.Millisecond, ""},
		{[]string{"3600"}, time.Hour, ""},
		{[]string{"3600.1"}, policy.MaxTimeout, deadlineAbsurd},
		{[]string{"31536000"}, policy.MaxTimeout, deadlineAbsurd},
		{[]string{"99999999999999999999999999999999"}, policy.MaxTimeout, deadlineAbsurd},
		{[]string{"999999999999999999999999999999999"}, 0, deadlineInvalid}, // longer than any number of use
		{[]string{"0"}, 0, deadlinePast},
		{[]string{"0.0000000001"}, 0, deadlinePast},
		{[]string{"-5"}, 0, deadlinePast},
		{[]string{"-99999999999999999999"}, 0, deadlinePast},
		{[]string{""}, 0, deadlineInvalid},
		{[]string{"."}, 0, deadlineInvalid},
		{[]string{"1e3"}, 0, deadlineInvalid},
		{[]string{"NaN"}, 0, deadlineInvalid},
		{[]string{"Inf"}, 0, deadlineInvalid},
		{[]string{"0x10"}, 0, deadlineInvalid},
		{[]string{"1_0"}, 0, deadlineInvalid},
		{[]string{"5s"}, 0, deadlineInvalid},
		{[]string{"1.2.3"}, 0, deadlineInvalid},
		{[]string{"--1"}, 0, deadlineInvalid},
		{[]string{"1", "2"}, 0, deadlineInvalid},
	} {
		got, fault := requestTimeout(http.Header{headerTimeout: c.values})
		if got != c.want || fault != c.fault {
			t.Errorf("%q: %s, %q; want %s, %q", c.values, got, fault, c.want, c.fault)
		}
	}
}

func FuzzRequestTimeout(f *testing.F) {
	for _, seed := range []string{"1", "0.25", "-1", "1e9", "NaN", "9999999999", ".", "", "0x1p4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, fault := parseTimeout(value)
		if d < 0 || d > policy.MaxTimeout || (d == 0) != (fault == deadlinePast || fault == deadlineInvalid) {
			t.Errorf("%q: %s, %q", value, d, fault)
		}
	})
}

package agent

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// headerTimeout is how a device says how long it will wait for its answer: in
// seconds, decimals allowed, from the arrival of the request's header.
const headerTimeout = "Request-Timeout"

// deadlineFault says what is wrong with the time that a device asks for; empty
// when nothing is.
type deadlineFault string

const (
	deadlinePast    deadlineFault = "past"    // 0 or less: refused
	deadlineInvalid deadlineFault = "invalid" // no number: ignored
	deadlineAbsurd  deadlineFault = "absurd"  // over policy.MaxTimeout: bounded
)

// requestTimeout reads the header; 0 when there is none of use.
func requestTimeout(h http.Header) (time.Duration, deadlineFault) {
	values := h[headerTimeout]
	switch len(values) {
	case 0:
		return 0, ""
	case 1:
		return parseTimeout(values[0])
	}
	return 0, deadlineInvalid
}

func parseTimeout(s string) (time.Duration, deadlineFault) {
	if !decimal(s) {
		return 0, deadlineInvalid
	}
	seconds, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return 0, deadlineInvalid
	case seconds > policy.MaxTimeout.Seconds():
		return policy.MaxTimeout, deadlineAbsurd
	case seconds < time.Nanosecond.Seconds():
		return 0, deadlinePast
	}
	return time.Duration(seconds * float64(time.Second)), ""
}

// decimal keeps ParseFloat from what is no plain number: exponents, hexadecimal
// digits, infinities.
func decimal(s string) bool {
	const longest = 32
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (c != '-' || i > 0) {
			return false
		}
	}
	return len(s) <= longest
}

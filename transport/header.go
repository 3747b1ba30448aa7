package transport

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/policy"
)

// Headers that cross the mesh. Only mesh peers may set them; the edge strips
// them from what devices send.
const (
	HeaderClass    = "Tidegate-Class"    // bulk, normal, high, critical
	HeaderRank     = "Tidegate-Rank"     // as a number, up to policy.MaxRank
	HeaderDeadline = "Tidegate-Deadline" // milliseconds remaining
	HeaderService  = "Tidegate-Service"
	HeaderSubset   = "Tidegate-Subset"
	HeaderDevice   = "Tidegate-Device"
	HeaderRoute    = "Tidegate-Route"
	HeaderRegion   = "Tidegate-Region"   // where the message entered the mesh
	HeaderRepeat   = "Tidegate-Repeat"   // never or always; absent: by method
	HeaderMessages = "Tidegate-Messages" // absent: one

	// HeaderControl names what one agent asks of another, about devices; such a
	// request has none of the others.
	HeaderControl = "Tidegate-Control"
)

// MaxDeadline is the longest time a message may have left.
const MaxDeadline = time.Hour

// Forward is what an ingress agent tells the agent that serves a message.
type Forward struct {
	Class    policy.Class
	Rank     policy.Rank   // of Class
	Deadline time.Duration // remaining: 1 ms to MaxDeadline, in whole milliseconds
	Target   policy.Target
	Device   string             // empty: not from a device
	Route    string             // for logs and metrics of the serving side; may be empty
	Region   string             // origin
	Repeat   policy.Idempotence // whether the serving side may process it twice
	Messages int                // that the request carries, up to policy.MaxBatch; 0 counts as 1
}

// Set writes the forward into h, replacing what was there. A deadline out of
// range is clamped.
func (f Forward) Set(h http.Header) {
	ms := min(max(f.Deadline, time.Millisecond), MaxDeadline).Milliseconds()
	h[HeaderClass] = []string{f.Class.String()}
	h[HeaderRank] = []string{strconv.Itoa(int(f.Rank))}
	h[HeaderDeadline] = []string{strconv.FormatInt(ms, 10)}
	h[HeaderService] = []string{f.Target.Service}
	h[HeaderRegion] = []string{f.Region}
	setOrDelete(h, HeaderSubset, f.Target.Subset)
	setOrDelete(h, HeaderDevice, f.Device)
	setOrDelete(h, HeaderRoute, f.Route)
	setOrDelete(h, HeaderRepeat, repeatWords[f.Repeat])
	setOrDelete(h, HeaderMessages, messagesWord(f.Messages))
}

func setOrDelete(h http.Header, name, value string) {
	if value == "" {
		delete(h, name)
		return
	}
	h[name] = []string{value}
}

// ReadForward reads and checks what Set wrote. Errors are of kind
// policy.ErrInvalid. Unknown Tidegate-* headers of a newer agent are ignored.
func ReadForward(h http.Header) (Forward, error) {
	var f Forward
	fields := []struct {
		name  string
		parse func(value string) error
	}{
		{HeaderClass, func(v string) (err error) { f.Class, err = policy.ParseClass(v); return }},
		{HeaderRank, func(v string) (err error) { f.Rank, err = parseRank(v, f.Class); return }},
		{HeaderDeadline, func(v string) (err error) { f.Deadline, err = parseDeadline(v); return }},
		{HeaderService, readInto(&f.Target.Service, validName)},
		{HeaderRegion, readInto(&f.Region, validName)},
		{HeaderSubset, readInto(&f.Target.Subset, orEmpty(validName))},
		{HeaderDevice, readInto(&f.Device, orEmpty(validDeviceID))},
		{HeaderRoute, readInto(&f.Route, orEmpty(validName))},
		{HeaderRepeat, func(v string) (err error) { f.Repeat, err = parseRepeat(v); return }},
		{HeaderMessages, func(v string) (err error) { f.Messages, err = parseMessages(v); return }},
	}
	for _, field := range fields {
		values := h[field.name]
		if len(values) > 1 {
			return Forward{}, fmt.Errorf("%w: header %s appears %d times", policy.ErrInvalid, field.name, len(values))
		}
		if err := field.parse(h.Get(field.name)); err != nil {
			return Forward{}, fmt.Errorf("header %s: %w", field.name, err)
		}
	}
	return f, nil
}

func readInto(dst *string, valid func(string) bool) func(string) error {
	return func(value string) error {
		if !valid(value) {
			return fmt.Errorf("%w: bad value %.80q", policy.ErrInvalid, value)
		}
		*dst = value
		return nil
	}
}

func orEmpty(valid func(string) bool) func(string) bool {
	return func(s string) bool { return s == "" || valid(s) }
}

// parseRank takes an agent that says none (it is older) to mean the middle of
// the class.
func parseRank(s string, class policy.Class) (policy.Rank, error) {
	if s == "" {
		const middle = 64
		return policy.RankOf(class, middle, false, false), nil
	}
	number, err := strconv.ParseUint(s, 10, 16)
	if rank := policy.Rank(number); err == nil && rank <= policy.MaxRank && rank.Class() == class {
		return rank, nil
	}
	return 0, fmt.Errorf("%w: rank %.80q is no number up to %d of class %s", policy.ErrInvalid, s, policy.MaxRank, class)
}

var repeatWords = [...]string{
	policy.IdempotentByMethod: "",
	policy.IdempotentAlways:   "always",
	policy.IdempotentNever:    "never",
}

func parseRepeat(s string) (policy.Idempotence, error) {
	i := slices.Index(repeatWords[:], s)
	if i < 0 {
		return 0, fmt.Errorf("%w: %.80q is neither never nor always", policy.ErrInvalid, s)
	}
	return policy.Idempotence(i), nil
}

func messagesWord(n int) string {
	if n <= 1 {
		return ""
	}
	return strconv.Itoa(n)
}

func parseMessages(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n < 1 || n > policy.MaxBatch {
		return 0, fmt.Errorf("%w: %.80q is not 1 to %d messages", policy.ErrInvalid, s, policy.MaxBatch)
	}
	return int(n), nil
}

func parseDeadline(s string) (time.Duration, error) {
	ms, err := strconv.ParseUint(s, 10, 32)
	if err != nil || ms < 1 || ms > uint64(MaxDeadline.Milliseconds()) {
		return 0, fmt.Errorf("%w: %.80q is not 1 to %d milliseconds", policy.ErrInvalid, s, MaxDeadline.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

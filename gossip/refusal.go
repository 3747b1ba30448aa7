package gossip

import (
	"errors"
	"fmt"
)

// Reasons for dropping a frame, as in tidegate_gossip_frames_dropped_total.
const (
	dropMalformed    = "malformed"
	dropTooLarge     = "too_large"
	dropOverflow     = "overflow"      // this agent could not keep up
	dropStale        = "stale"         // older than what is held
	dropUnknownKey   = "unknown_key"   // certificate asked for, frame kept meanwhile
	dropCertificate  = "certificate"   // refused by Config.Verify
	dropSignature    = "bad_signature" //
	dropForeign      = "foreign"       // signer speaks for another region or agent
	dropStranger     = "stranger"      // origin is no live member, or the frame came by the wrong pool
	dropEarlierLife  = "earlier_life"  // of a run of the origin that is over
	dropNotGateway   = "not_gateway"   // only gateways may say this
	dropFull         = "full"          // a bound was reached
	dropUnrequested  = "unrequested"   // a certificate nobody asked for
	dropNoBase       = "no_base"       // the whole report it builds on was asked for
	dropAbsurd       = "absurd"        // a number nobody can mean
	dropRateExceeded = "rate"          // too many requests for certificates or reports
)

func dropReasons() []string {
	return []string{dropMalformed, dropTooLarge, dropOverflow, dropStale, dropUnknownKey, dropCertificate, dropSignature,
		dropForeign, dropStranger, dropEarlierLife, dropNotGateway, dropFull, dropUnrequested, dropNoBase, dropAbsurd, dropRateExceeded}
}

// refusal says why a frame was dropped.
type refusal struct {
	reason string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(reason string, kind error, format string, args ...any) error {
	return &refusal{reason, fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))}
}

func reasonOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return dropMalformed
}

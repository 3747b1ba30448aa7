package transport

import "errors"

// Kinds of errors, for errors.Is.
var (
	// ErrNotSent: the request was surely not processed by the peer, so it may
	// be sent elsewhere whatever its method.
	ErrNotSent = errors.New("request not sent")
	// ErrTunnelLost: the tunnel broke while the request was under way; the
	// peer may or may not have processed it.
	ErrTunnelLost = errors.New("tunnel lost")
	// ErrIdentity: a certificate does not carry the identity it must.
	ErrIdentity = errors.New("identity refused")
	// ErrBusy: it cannot be told now who a device is; it may come back.
	ErrBusy = errors.New("too busy to tell")
	// ErrClosed: the mesh was closed.
	ErrClosed = errors.New("mesh closed")
)

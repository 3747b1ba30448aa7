package device

import (
	"errors"
	"fmt"
)

// Kinds of errors, for errors.Is.
var (
	// ErrConfig: a configuration makes no sense.
	ErrConfig = errors.New("invalid device configuration")
	// ErrInvalid: a message cannot be sent as it is. Nothing was kept of it.
	ErrInvalid = errors.New("invalid message")
	// ErrFull: the outbox has no room. Nothing was kept of the message.
	ErrFull = errors.New("outbox full")
	// ErrRefused: no service will ever take the message, for the reason that the
	// error tells. It left the outbox.
	ErrRefused = errors.New("message refused")
	// ErrExpired: nobody took the message before its time was over. It left the
	// outbox.
	ErrExpired = errors.New("message expired")
	// ErrOutbox: the outbox's file cannot be read or written. What is in it is
	// left alone.
	ErrOutbox = errors.New("outbox")
	// ErrClosed: the client is closed. What was not acknowledged is still in the
	// outbox's file, where there is one.
	ErrClosed = errors.New("client closed")
	// ErrCredentials: an agent does not know who this is. The client goes on
	// trying, and what is in the outbox stays.
	ErrCredentials = errors.New("credentials not accepted")
	// ErrTakenOver: another client with the same identity connected. The client
	// stays away for a while.
	ErrTakenOver = errors.New("taken over by another connection of the same device")
	// ErrSilent: nothing was heard of an agent for too long.
	ErrSilent = errors.New("agent silent")
	// ErrLeaving: the agent told the device to go elsewhere.
	ErrLeaving = errors.New("agent leaves")
	// ErrSubscription: the agent does not offer the commands asked for.
	ErrSubscription = errors.New("subscription refused")
)

func refusedFor(reason string) error {
	if reason == "" {
		return ErrRefused
	}
	return fmt.Errorf("%w: %s", ErrRefused, reason)
}

package admin

import (
	"context"
	"errors"
	"net/http"
)

// Faults is asked to inject faults; only agents of development meshes have it.
// Methods are called concurrently.
type Faults interface {
	// AddFault puts a fault in force until its time is over. Errors are of kind
	// policy.ErrInvalid when it makes no sense here, ErrConflict when one with
	// its ID, or the same condition, is in force already.
	AddFault(context.Context, Fault) error
	// RemoveFault ends a fault early. The error is of kind ErrNotFound when
	// none of that ID is in force.
	RemoveFault(ctx context.Context, id string) error
	// Faults lists those in force, oldest first.
	Faults() []ActiveFault
}

// Kinds of errors about faults.
var (
	ErrConflict = errors.New("conflict")
	ErrNotFound = errors.New("not found")
)

var errNoFaults = errors.New("this agent takes no faults: only those of `tidegate dev` have the hooks for it")

func addFaults(mux *http.ServeMux, f Faults) {
	if f == nil {
		none := func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, errNoFaults) }
		mux.HandleFunc(PathFaults, none)
		mux.HandleFunc(PathFaults+"/{id}", none)
		return
	}
	mux.HandleFunc("GET "+PathFaults, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, FaultsAnswer{f.Faults()})
	})
	mux.HandleFunc("POST "+PathFaults, ask(func(ctx context.Context, in Fault) (FaultsAnswer, error) {
		err := f.AddFault(ctx, in)
		return FaultsAnswer{f.Faults()}, err
	}))
	mux.HandleFunc("DELETE "+PathFaults+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		err := f.RemoveFault(r.Context(), r.PathValue("id"))
		reply(w, FaultsAnswer{f.Faults()}, err)
	})
}

package admin

import (
	"context"
	"errors"
	"net/http"
)

// Faults is asked to inject faults; only agents that were opened to them have it.
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

var errNoFaults = errors.New("this agent takes no faults: start it with fault { enabled = true }, or try them with `tidegate dev`")

// HeaderOperator carries the operator's token, which faults need beside what lets
// a request in.
const HeaderOperator = "Tidegate-Operator"

var errOperator = errors.New("no operator token, or a wrong one: send the one of fault.token as " + HeaderOperator)

// AddFaults serves faults to whoever shows the operator's token; "": to everybody.
// Where f is nil, it says that there are none.
func AddFaults(mux *http.ServeMux, f Faults, operator string) {
	if f == nil {
		none := func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, errNoFaults) }
		mux.HandleFunc(PathFaults, none)
		mux.HandleFunc(PathFaults+"/{id}", none)
		return
	}
	mux.HandleFunc("GET "+PathFaults, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, FaultsAnswer{f.Faults()})
	})
	allowed := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if operator != "" && !sameSecret(r.Header.Get(HeaderOperator), operator) {
				refuse(w, http.StatusUnauthorized, errOperator)
				return
			}
			h(w, r)
		}
	}
	mux.HandleFunc("POST "+PathFaults, allowed(ask(func(ctx context.Context, in Fault) (FaultsAnswer, error) {
		err := f.AddFault(ctx, in)
		return FaultsAnswer{f.Faults()}, err
	})))
	mux.HandleFunc("DELETE "+PathFaults+"/{id}", allowed(func(w http.ResponseWriter, r *http.Request) {
		err := f.RemoveFault(r.Context(), r.PathValue("id"))
		reply(w, FaultsAnswer{f.Faults()}, err)
	}))
}

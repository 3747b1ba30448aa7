package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/tidegate/tidegate/policy"
)

// Agent is what the control API asks of an agent. Methods are called
// concurrently and must not block for long.
type Agent interface {
	Readiness
	Members() MembersAnswer
	Regions() RegionsAnswer
	Services() ServicesAnswer
	Explain(ExplainRequest) (ExplainAnswer, error)
	Policy() PolicyAnswer
	ApplyPolicy(context.Context, PolicyApply) (PolicyApplied, error)
	SetDraining(ctx context.Context, on bool, perSecond float64) DrainAnswer
	// Devices returns a page of the devices here, at most limit of them, whose ids
	// come after one.
	Devices(after string, limit int) DevicesAnswer
	// Device looks for a device in the whole mesh, and with kick ends its sessions.
	Device(ctx context.Context, id string, kick bool) DeviceAnswer
	// Override tells the mesh an operator's word on a region. Errors are of kind
	// policy.ErrInvalid, or ErrNotFound when no such region is known.
	Override(context.Context, OverrideRequest) (OverrideAnswer, error)
}

// Readiness says whether an agent may be given traffic, and why not.
type Readiness interface {
	Ready() (ok bool, reason string)
}

// maxDrainRate bounds devices a second.
const maxDrainRate = 1_000_000

// maxBody bounds what a caller may send, in bytes: a policy fits.
const maxBody = 2 << 20

// NewHandler serves the control API of an agent. Guard it. Faults is nil
// unless the agent was opened to them; operator is their token, "" for none.
func NewHandler(a Agent, metrics http.Handler, faults Faults, operator string) http.Handler {
	mux := http.NewServeMux()
	AddFaults(mux, faults, operator)
	addReadiness(mux, a)
	mux.Handle("GET "+PathMetrics, metrics)
	mux.HandleFunc("GET "+PathProfiles, pprof.Index)
	mux.HandleFunc("GET "+PathProfiles+"profile", pprof.Profile)
	mux.HandleFunc("GET "+PathProfiles+"trace", pprof.Trace)
	mux.HandleFunc("GET "+PathMembers, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Members()) })
	mux.HandleFunc("GET "+PathRegions, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Regions()) })
	mux.HandleFunc("GET "+PathServices, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Services()) })
	mux.HandleFunc("GET "+PathPolicy, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Policy()) })
	mux.HandleFunc("POST "+PathExplain, ask(func(_ context.Context, in ExplainRequest) (ExplainAnswer, error) {
		return a.Explain(in)
	}))
	mux.HandleFunc("PUT "+PathPolicy, ask(a.ApplyPolicy))
	mux.HandleFunc("POST "+PathDrain, ask(func(ctx context.Context, in DrainRequest) (DrainAnswer, error) {
		if in.PerSecond < 0 || in.PerSecond > maxDrainRate {
			return DrainAnswer{}, fmt.Errorf("drain: %w: %g devices a second: use 0 to %d", policy.ErrInvalid, in.PerSecond, maxDrainRate)
		}
		return a.SetDraining(ctx, in.Drain, in.PerSecond), nil
	}))
	mux.HandleFunc("POST "+PathOverride, ask(a.Override))
	addDevices(mux, a)
	return mux
}

// NewReadyHandler serves health and readiness alone, for load balancers and
// DNS health checks.
func NewReadyHandler(r Readiness) http.Handler {
	mux := http.NewServeMux()
	addReadiness(mux, r)
	return mux
}

func addReadiness(mux *http.ServeMux, r Readiness) {
	mux.HandleFunc("GET "+PathHealth, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET "+PathReady, func(w http.ResponseWriter, _ *http.Request) {
		ok, reason := r.Ready()
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, reason+"\n")
	})
}

// ask reads a JSON question, has it answered, and tells errors by kind.
func ask[In, Out any](do func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("read request: %w: %w", policy.ErrInvalid, err))
			return
		}
		out, err := do(r.Context(), in)
		reply(w, out, err)
	}
}

// reply answers, or refuses by the kind of the error.
func reply(w http.ResponseWriter, out any, err error) {
	switch {
	case err == nil:
		answer(w, out)
	case errors.Is(err, policy.ErrInvalid):
		refuse(w, http.StatusUnprocessableEntity, err)
	case errors.Is(err, ErrConflict):
		refuse(w, http.StatusConflict, err)
	case errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, err)
	default:
		refuse(w, http.StatusBadGateway, err)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", ProblemType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Problem{
		Title: http.StatusText(status), Status: status,
		Detail: err.Error(), Diagnostics: Diagnostics(err),
	})
}

// Diagnostics returns what is wrong with a policy, place by place; nil when
// the error is of another sort.
func Diagnostics(err error) []Diagnostic {
	var found policy.Diagnostics
	if !errors.As(err, &found) {
		return nil
	}
	out := make([]Diagnostic, len(found))
	for i, d := range found {
		out[i] = Diagnostic{File: d.File, Line: d.Line, Column: d.Column, Summary: d.Problem, Detail: d.Fix, Text: d.Text}
	}
	return out
}

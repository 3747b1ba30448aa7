package edge

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/quic-go/quic-go"

	"github.com/tidegate/tidegate/transport"
)

// serveTCPRequest is what the HTTP/2 and HTTP/1.1 server calls.
func (s *Server) serveTCPRequest(w http.ResponseWriter, r *http.Request) {
	if s.altSvc != nil {
		w.Header()["Alt-Svc"] = s.altSvc
	}
	c := connectionFrom(r.Context())
	c.framed.Store(r.ProtoMajor == 2)
	if c.moving.Load() {
		w.Header()["Connection"] = []string{"close"} // of HTTP/2 net/http makes a GOAWAY
	}
	if s.wantsWebSocket(r) {
		s.serveWebSocket(c, w, r)
		return
	}
	s.serveRequest(c, w, r, false)
}

// serveHTTP3Request is what the HTTP/3 server of a connection calls.
func (s *Server) serveHTTP3Request(c *connection, w http.ResponseWriter, r *http.Request) {
	if str, ok := r.Body.(interface{ StreamID() quic.StreamID }); ok {
		c.headers.over(str.StreamID())
	}
	s.serveRequest(c, w, r, s.settleEarly(c, r))
}

func (s *Server) serveRequest(c *connection, w http.ResponseWriter, r *http.Request, early bool) {
	c.begin()
	defer c.end()
	if p := s.fault(r); p != nil {
		s.refuse(w, r, p)
		return
	}
	transport.StripEdge(r.Header)
	if early {
		r.Header[earlyData] = []string{"1"}
	}
	r.URL.Scheme, r.URL.Host, r.URL.User = "", "", nil // absolute form, RFC 9112 section 3.2.2
	identified, err := s.identify(c, r)
	if err != nil {
		s.refuse(w, r, unidentified(r, err))
		return
	}
	x := newExchange(s, w, r, identified)
	defer x.finish()
	s.cfg.Handler.ServeHTTP(x, x.handed)
}

// fault says what makes a request unfit to be looked at further.
func (s *Server) fault(r *http.Request) *problem {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return badRequest(reasonMethod, "the method is not served")
	case r.Host == "":
		return badRequest(reasonHost, "the host is missing")
	case r.Header["Upgrade"] != nil:
		return badRequest(reasonUpgrade, "upgrades are not served")
	case fields(r.Header) > s.cfg.Limits.MaxHeaderFields:
		return &problem{reason: reasonHeaderFields, Status: http.StatusRequestHeaderFieldsTooLarge, Detail: "too many header fields"}
	}
	if err := checkPath(r.URL.Path); err != nil {
		return badRequest(reasonPath, err.Error())
	}
	return nil
}

func fields(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// problem is an answer in the form of RFC 9457.
type problem struct {
	reason reason
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func badRequest(why reason, detail string) *problem {
	return &problem{reason: why, Status: http.StatusBadRequest, Detail: detail}
}

func unidentified(r *http.Request, err error) *problem {
	if errors.Is(err, transport.ErrBusy) {
		return &problem{reason: reasonBusy, Status: http.StatusServiceUnavailable, Detail: "too many devices ask to be known: come back"}
	}
	if len(r.TLS.PeerCertificates) > 0 {
		return &problem{reason: reasonIdentity, Status: http.StatusForbidden, Detail: "the certificate is not accepted here"}
	}
	return &problem{reason: reasonIdentity, Status: http.StatusUnauthorized, Detail: "the device is not known"}
}

//go:noinline
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	s.metrics.refuse(p.reason)
	if r.ProtoMajor == 1 {
		s.boundSkipping(connectionFrom(r.Context()), w)
	}
	p.Title = http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // three plain fields
	}
	w.Header().Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable: // some later than others, so that they do not come back together
		w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(10)))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

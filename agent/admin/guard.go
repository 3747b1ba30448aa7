package admin

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard keeps strangers from a listener that is meant for this machine: a
// token against other users, and a Host check against web pages that a browser
// on this machine was made to load (DNS rebinding).
type Guard struct {
	Token   string   // expected as "Bearer TOKEN"; empty: none is asked for
	Header  string   // that carries the token; default Authorization
	Hosts   []string // names allowed in Host beside loopback ones
	AnyHost bool     // the handler checks Host itself
}

// Wrap puts the guard before a handler. Readiness needs no token.
func (g Guard) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.AnyHost && !g.hostAllowed(r.Host):
			refuse(w, http.StatusMisdirectedRequest, errHost)
		case !g.tokenFits(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, errToken)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

var (
	errHost  = errors.New("this Host is not served here: use a loopback address, or add the name to hosts")
	errToken = errors.New("no token, or a wrong one: send the configured one as a bearer token")
)

func (g Guard) hostAllowed(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") || host == "" {
		return true
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && ip.IsLoopback() {
		return true
	}
	for _, allowed := range g.Hosts {
		if strings.EqualFold(host, allowed) {
			return true
		}
	}
	return false
}

func (g Guard) tokenFits(r *http.Request) bool {
	open := g.Header == "" && (r.URL.Path == PathHealth || r.URL.Path == PathReady)
	if g.Token == "" || open {
		return true
	}
	name := g.Header
	if name == "" {
		name = "Authorization"
	}
	token, ok := strings.CutPrefix(r.Header.Get(name), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(g.Token)) == 1
}

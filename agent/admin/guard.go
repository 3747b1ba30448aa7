package admin

import (
	"cmp"
	"context"
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
	Token   string            // expected as "Bearer TOKEN"; empty: none is asked for
	Clients map[string]string // further tokens by the name of who shows them; see ClientFrom
	Header  string            // that carries the token; default Authorization
	Hosts   []string          // names allowed in Host beside loopback ones
	AnyHost bool              // the handler checks Host itself
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
			h.ServeHTTP(w, g.named(r))
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
	token, ok := strings.CutPrefix(r.Header.Get(cmp.Or(g.Header, "Authorization")), "Bearer ")
	return ok && (sameSecret(token, g.Token) || g.clientOf(token) != "")
}

func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// clientOf looks at all tokens, so that time tells nothing.
func (g Guard) clientOf(token string) (client string) {
	for name, theirs := range g.Clients {
		if sameSecret(token, theirs) {
			client = name
		}
	}
	return client
}

type clientKey struct{}

// named notes whose token a request shows.
func (g Guard) named(r *http.Request) *http.Request {
	if len(g.Clients) == 0 {
		return r
	}
	token, _ := strings.CutPrefix(r.Header.Get(cmp.Or(g.Header, "Authorization")), "Bearer ")
	client := g.clientOf(token)
	if client == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, client))
}

// ClientFrom returns the name of the client whose token a request showed; "" where
// it has none.
func ClientFrom(ctx context.Context) string {
	name, _ := ctx.Value(clientKey{}).(string)
	return name
}

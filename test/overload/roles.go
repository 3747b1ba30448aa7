package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tidegate/tidegate/test/overload/failsafe"
	"github.com/tidegate/tidegate/test/overload/slots"
)

// The programs this one runs of itself, as the only argument.
const (
	roleUpstream = "serve-upstream"
	roleBare     = "serve-bare"
	roleFailsafe = "serve-failsafe"
)

// The environment that tells them what they need.
const (
	envSlots    = "OVERLOAD_SLOTS"
	envHold     = "OVERLOAD_HOLD"
	envSeed     = "OVERLOAD_SEED"
	envCert     = "OVERLOAD_CERT"
	envKey      = "OVERLOAD_KEY"
	envCA       = "OVERLOAD_CA"
	envUpstream = "OVERLOAD_UPSTREAM"
)

// runRole serves in a role until the process is ended; false: it is none.
func runRole(role string) bool {
	var err error
	switch role {
	case roleUpstream:
		err = serveUpstream()
	case roleBare:
		err = serveHTTP3(http.HandlerFunc(refuseAll))
	case roleFailsafe:
		err = serveHTTP3(failsafe.Handler(os.Getenv(envUpstream)))
	default:
		return false
	}
	fmt.Fprintln(os.Stderr, "overload:", err)
	os.Exit(1)
	return true
}

func serveUpstream() error {
	n, err := strconv.Atoi(os.Getenv(envSlots))
	if err != nil {
		return err
	}
	hold, err := time.ParseDuration(os.Getenv(envHold))
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64)
	if err != nil {
		return err
	}
	return slots.New(n, hold, seed).Serve(os.Stdout)
}

// refusal is as long as what an agent says.
const refusal = `{"type":"about:blank","title":"Service Unavailable","status":503,"class":"bulk","reason":"overload","retry_after_ms":2713}`

// refuseAll is the least that a refusal over HTTP/3 with a reason can cost.
func refuseAll(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Retry-After"] = []string{"3"}
	h["Content-Length"] = []string{strconv.Itoa(len(refusal))}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, refusal)
}

// serveHTTP3 is quic-go's server as it comes. It prints its address.
func serveHTTP3(handler http.Handler) error {
	cert, err := tls.LoadX509KeyPair(os.Getenv(envCert), os.Getenv(envKey))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(os.Getenv(envCA))
	if err != nil {
		return err
	}
	roots.AppendCertsFromPEM(ca)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	server := &http3.Server{
		Handler:    handler,
		QUICConfig: &quic.Config{MaxIncomingStreams: 1000},
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{
			Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		}),
	}
	return server.Serve(conn)
}

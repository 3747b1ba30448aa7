package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/quic-go/quic-go/http3"
)

// answer reads the request and sends the short answer of an ingest service.
func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, answerBody)
}

const answerBody = `{"accepted":true}`

// serveBackend is the service behind the proxies. It prints its address.
func serveBackend() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(answer))
}

// serveBare is quic-go's HTTP/3 server with that same service as its handler:
// what no HTTP/3 proxy in Go can undercut. It prints its address.
func serveBare() error {
	cert, err := tls.LoadX509KeyPair(os.Getenv(envCert), os.Getenv(envKey))
	if err != nil {
		return err
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	server := &http3.Server{
		Handler:   http.HandlerFunc(answer),
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}),
	}
	return server.Serve(conn)
}

// The environment that tells serveBare its certificate.
const (
	envCert = "BENCH_CERT"
	envKey  = "BENCH_KEY"
)

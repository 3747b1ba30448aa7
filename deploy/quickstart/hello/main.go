// Command hello is a service to try Tidegate with: it says where it runs and
// what it was asked.
//
//	hello ADDRESS NAME
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hello ADDRESS NAME")
		os.Exit(2)
	}
	addr, name := os.Args[1], os.Args[2]
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s: %s %s for device %q\n", name, r.Method, r.URL.Path, r.Header.Get("Tidegate-Device"))
	})
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

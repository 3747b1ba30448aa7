package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"
)

// edgeFlags say how simulated devices and edges trust each other.
type edgeFlags struct{ ca, cert, key string }

func (f *edgeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.ca, "ca", "", "certificates of edges to trust, PEM `file`; default: the system's")
	flags.StringVar(&f.cert, "cert", "", "client certificate all devices show, PEM `file`")
	flags.StringVar(&f.key, "key", "", "its private key, PEM `file`")
}

func (f *edgeFlags) load() (*tls.Config, func(int) (tls.Certificate, error), error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS13}
	if f.ca != "" {
		pem, err := readSource(f.ca)
		if err != nil {
			return nil, nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, usagef("--ca %s holds no certificate", f.ca)
		}
	}
	if f.cert == "" && f.key == "" {
		return trust, nil, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("client certificate (--cert, --key): %w", err)}
	}
	return trust, func(int) (tls.Certificate, error) { return pair, nil }, nil
}

package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/transport"
)

const day = 24 * time.Hour

func newTLS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tls",
		Short: "Make the authority and the certificates of a mesh",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("say which: tidegate tls ca, tidegate tls cert or tidegate tls crl")
		},
	}
	cmd.AddCommand(newTLSCA(), newTLSCert(), newTLSCRL())
	return cmd
}

// output is where a pair of files goes.
type output struct {
	dir   string
	name  string
	force bool
	days  int
}

func addOutput(cmd *cobra.Command, name string, days int) *output {
	o := &output{}
	cmd.Flags().StringVar(&o.dir, "out", ".", "write into this `directory`, made when it is missing")
	cmd.Flags().StringVar(&o.name, "file", name, "base `name` of the two files: NAME.pem and NAME.key")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace files that are there")
	cmd.Flags().IntVar(&o.days, "days", days, "valid for so many days")
	return o
}

func (o *output) validity() (time.Duration, error) {
	if o.days < 1 || o.days > 36500 {
		return 0, usagef("--days %d is not between 1 and 36500", o.days)
	}
	return time.Duration(o.days) * day, nil
}

// write puts the certificate and the key side by side, the key first: without
// it the certificate is worth nothing.
func (o *output) write(cmd *cobra.Command, cert, key []byte) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	for _, file := range []struct {
		suffix string
		data   []byte
		mode   fs.FileMode
	}{{".key", key, secretMode}, {".pem", cert, publicMode}} {
		path := filepath.Join(o.dir, o.name+file.suffix)
		if err := writeNew(path, file.data, file.mode, o.force); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), path)
	}
	return nil
}

func newTLSCA() *cobra.Command {
	var name, domain string
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make a certificate authority",
		Long: "Makes an authority that issues for one trust domain. Keep its key off the agents.\n" +
			"One authority can serve mesh, edge and devices; separate ones are safer.",
		Args: cobra.NoArgs,
	}
	out := addOutput(cmd, "ca", 3650)
	cmd.Flags().StringVar(&name, "name", "Tidegate CA", "common `name` of the authority")
	cmd.Flags().StringVar(&domain, "trust-domain", "tidegate.internal", "trust `domain` of the identities it issues")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		validity, err := out.validity()
		if err != nil {
			return err
		}
		authority, err := transport.NewAuthority(name, domain, validity)
		if err != nil {
			return usageError{err}
		}
		key, err := authority.KeyPEM()
		if err != nil {
			return err
		}
		return out.write(cmd, authority.CertPEM(), key)
	}
	return cmd
}

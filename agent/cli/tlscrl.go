package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/transport"
)

func newTLSCRL() *cobra.Command {
	var ca, caKey, out string
	var days int
	cmd := &cobra.Command{
		Use:   "crl CERT...",
		Short: "Revoke certificates of devices",
		Long: "Makes a revocation list that takes certificates of the authority back, for tls.edge.crl.\n" +
			"It says all that is revoked: name the certificates of earlier lists again.",
		Example: "  tidegate tls crl --out revoked.crl d1.pem stolen.pem",
	}
	cmd.Flags().StringVar(&ca, "ca", "ca.pem", "`file` of the authority's certificate")
	cmd.Flags().StringVar(&caKey, "ca-key", "ca.key", "`file` of the authority's key")
	cmd.Flags().StringVar(&out, "out", "revoked.crl", "write to this `file`, over what it holds")
	cmd.Flags().IntVar(&days, "days", 30, "to be replaced within so many days")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		validity, err := (&output{days: days}).validity()
		if err != nil {
			return err
		}
		authority, err := loadAuthority(ca, caKey)
		if err != nil {
			return err
		}
		var revoked [][]byte
		for _, file := range args {
			raw, err := readSource(file)
			if err != nil {
				return err
			}
			revoked = append(revoked, raw)
		}
		list, err := authority.Revoke(revoked, validity)
		if err != nil {
			return usageError{err}
		}
		if err := writeNew(out, list, publicMode, true); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), out)
		return nil
	}
	return cmd
}

func loadAuthority(certFile, keyFile string) (*transport.Authority, error) {
	cert, err := readSource(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readSource(keyFile)
	if err != nil {
		return nil, err
	}
	authority, err := transport.LoadAuthority(cert, key)
	if err != nil {
		return nil, usageError{err}
	}
	return authority, nil
}

package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/transport"
)

func newTLSCert() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Issue a certificate for an agent's mesh or edge, or for a device",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usagef("say for whom: mesh, edge or device") },
	}
	cmd.AddCommand(newCertMesh(), newCertEdge(), newCertDevice())
	return cmd
}

// issuing is what the three kinds of certificate share.
type issuing struct {
	*output
	ca, caKey string
}

func addIssuing(cmd *cobra.Command, name string, days int) *issuing {
	i := &issuing{output: addOutput(cmd, name, days)}
	cmd.Flags().StringVar(&i.ca, "ca", "ca.pem", "`file` of the authority's certificate")
	cmd.Flags().StringVar(&i.caKey, "ca-key", "ca.key", "`file` of the authority's key")
	return i
}

// issue loads the authority, has it issue, and writes the result.
func (i *issuing) issue(cmd *cobra.Command, by func(*transport.Authority, time.Duration) (transport.Issued, error)) error {
	validity, err := i.validity()
	if err != nil {
		return err
	}
	authority, err := loadAuthority(i.ca, i.caKey)
	if err != nil {
		return err
	}
	issued, err := by(authority, validity)
	if err != nil {
		return usageError{err}
	}
	return i.write(cmd, issued.CertPEM, issued.KeyPEM)
}

func newCertMesh() *cobra.Command {
	var region, name string
	cmd := &cobra.Command{
		Use:   "mesh",
		Short: "For one agent, to other agents (Ed25519)",
		Args:  cobra.NoArgs,
	}
	issuing := addIssuing(cmd, "mesh", 365)
	cmd.Flags().StringVar(&region, "region", "", "the agent's `region`")
	cmd.Flags().StringVar(&name, "name", "", "the agent's `name`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if region == "" || name == "" {
			return usagef("a mesh certificate needs --region and --name")
		}
		return issuing.issue(cmd, func(a *transport.Authority, validity time.Duration) (transport.Issued, error) {
			return a.IssueMesh(region, name, validity)
		})
	}
	return cmd
}

func newCertEdge() *cobra.Command {
	var hosts []string
	cmd := &cobra.Command{
		Use:   "edge",
		Short: "For one agent, to devices (ECDSA P-256)",
		Args:  cobra.NoArgs,
	}
	issuing := addIssuing(cmd, "edge", 365)
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "DNS `name` or IP address that devices dial; repeatable")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(hosts) == 0 {
			return usagef("an edge certificate needs --host")
		}
		return issuing.issue(cmd, func(a *transport.Authority, validity time.Duration) (transport.Issued, error) {
			return a.IssueEdge(hosts, validity)
		})
	}
	return cmd
}

func newCertDevice() *cobra.Command {
	var id string
	var properties []string
	cmd := &cobra.Command{
		Use:   "device",
		Short: "For one device, to the edge (ECDSA P-256)",
		Args:  cobra.NoArgs,
	}
	issuing := addIssuing(cmd, "device", 365)
	cmd.Flags().StringVar(&id, "id", "", "the device's `id`")
	cmd.Flags().StringArrayVar(&properties, "property", nil, "`name=value` that routes see as device.name; repeatable")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if id == "" {
			return usagef("a device certificate needs --id")
		}
		values, err := pairs("--property", properties)
		if err != nil {
			return err
		}
		return issuing.issue(cmd, func(a *transport.Authority, validity time.Duration) (transport.Issued, error) {
			return a.IssueDevice(id, values, validity)
		})
	}
	return cmd
}

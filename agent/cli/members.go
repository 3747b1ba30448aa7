package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newMembers() *cobra.Command {
	cmd := &cobra.Command{Use: "members", Short: "List the agents of the mesh, as one agent knows them", Args: cobra.NoArgs}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := fetch[admin.MembersAnswer](cmd, flags, http.MethodGet, admin.PathMembers, nil)
		if err != nil || flags.json {
			return err
		}
		t := newTable(cmd.OutOrStdout(), "NAME", "REGION", "GROUP", "STATE", "ROLE", "DRAINING", "MESH", "EDGE", "TUNNEL", "RTT", "VERSION")
		for _, m := range answer.Members {
			name := m.Name
			if name == answer.Self {
				name += " (this one)"
			}
			t.row(name, m.Region, m.Group, m.State, role(m), yes(m.Draining), m.MeshAddr, m.EdgeAddr, m.Tunnel, rtt(m.RTTSeconds), m.Version)
		}
		if err := t.flush(); err != nil || len(answer.Faults) == 0 {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "\nInjected faults in force:")
		return printFaults(cmd, &admin.FaultsAnswer{Faults: answer.Faults})
	}
	return cmd
}

func role(m admin.Member) string {
	switch {
	case m.Lead:
		return "lead"
	case m.Gateway:
		return "gateway"
	}
	return ""
}

func rtt(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return span(&seconds)
}

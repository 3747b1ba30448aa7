package cli

import (
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newRegions() *cobra.Command {
	cmd := &cobra.Command{Use: "regions", Short: "List the regions, how they are, and how fresh that is", Args: cobra.NoArgs}
	flags := addAdminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := fetch[admin.RegionsAnswer](cmd, flags, http.MethodGet, admin.PathRegions, nil)
		if err != nil || flags.json {
			return err
		}
		t := newTable(cmd.OutOrStdout(), "REGION", "GROUP", "STATE", "RTT", "AGENTS", "LEAD", "DIGEST AGE", "REPORT AGE", "POLICY", "WHY")
		for _, r := range answer.Regions {
			name := r.Name
			if r.Local {
				name += " (this one)"
			}
			t.row(name, r.Group, r.State, span(r.RTTSeconds), strconv.Itoa(r.Agents), r.Lead,
				span(r.DigestAgeSeconds), span(r.ReportAgeSeconds), r.PolicyVersion, r.Reason)
		}
		return t.flush()
	}
	return cmd
}

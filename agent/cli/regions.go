package cli

import (
	"fmt"
	"io"
	"net/http"
	"slices"
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
		return printRegions(cmd.OutOrStdout(), answer.Regions)
	}
	return cmd
}

func printRegions(out io.Writer, regions []admin.Region) error {
	t := newTable(out, "REGION", "GROUP", "STATE", "RTT", "AGENTS", "LEAD", "DIGEST AGE", "REPORT AGE", "POLICY", "WHY")
	for _, r := range regions {
		t.row(regionName(&r), r.Group, r.State, span(r.RTTSeconds), strconv.Itoa(r.Agents), r.Lead,
			span(r.DigestAgeSeconds), span(r.ReportAgeSeconds), r.PolicyVersion, why(&r))
	}
	if err := t.flush(); err != nil || !anyLoad(regions) {
		return err
	}
	fmt.Fprintln(out)
	t = newTable(out, "REGION", "CAPACITY", "DEMAND", "IN FLIGHT", "LIMIT HERE", "QUEUED HERE", "REJECTING HERE", "THRESHOLD", "QUEUE WAIT", "SPILL EXPECTED")
	for _, r := range regions {
		capacity, demand, threshold, wait := loadCells(r.Load)
		inFlight := ""
		if r.Load != nil {
			inFlight = strconv.Itoa(r.Load.InFlight)
		}
		t.row(regionName(&r), capacity, demand, inFlight, count(r.Limit), count(r.Queued), percent(r.Rejecting), threshold, wait, inbound(r.Expected))
	}
	return t.flush()
}

func anyLoad(regions []admin.Region) bool {
	return slices.ContainsFunc(regions, func(r admin.Region) bool { return r.Load != nil })
}

func regionName(r *admin.Region) string {
	if r.Local {
		return r.Name + " (this one)"
	}
	return r.Name
}

// why says what keeps traffic from a region: the mesh's own reason, an
// operator's word.
func why(r *admin.Region) string {
	switch {
	case r.Override == nil:
		return r.Reason
	case r.Reason == "":
		return override(r.Override)
	}
	return r.Reason + "; " + override(r.Override)
}

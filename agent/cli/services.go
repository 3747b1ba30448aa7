package cli

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
)

func newServices() *cobra.Command {
	var instances bool
	cmd := &cobra.Command{Use: "services [SERVICE]", Short: "List the services, here and in other regions", Args: cobra.MaximumNArgs(1)}
	flags := addAdminFlags(cmd)
	cmd.Flags().BoolVar(&instances, "instances", false, "list the instances of this region too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := fetch[admin.ServicesAnswer](cmd, flags, http.MethodGet, admin.PathServices, nil)
		if err != nil || flags.json {
			return err
		}
		services := answer.Services
		if len(args) == 1 {
			if services = only(services, args[0]); len(services) == 0 {
				return fmt.Errorf("the agent knows no service %q", args[0])
			}
		}
		return printServices(cmd.OutOrStdout(), answer.Catalog, services, instances || len(args) == 1)
	}
	return cmd
}

func only(services []admin.Service, name string) []admin.Service {
	for _, s := range services {
		if s.Name == name {
			return []admin.Service{s}
		}
	}
	return nil
}

func printServices(out io.Writer, catalog admin.Catalog, services []admin.Service, instances bool) error {
	printCatalog(out, catalog)
	t := newTable(out, "SERVICE", "REGION", "READY", "IN FLIGHT", "REPORT AGE", "CAPACITY", "DEMAND", "THRESHOLD", "QUEUE WAIT")
	for _, s := range services {
		serviceRow(t, s.Name, "(this one)", s.Ready, s.InFlight, nil, s.Load)
		for _, r := range s.Regions {
			serviceRow(t, s.Name, r.Region, r.Ready, r.InFlight, r.AgeSeconds, r.Load)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := printAdmissions(out, services); err != nil || !instances {
		return err
	}
	fmt.Fprintln(out)
	return printInstances(out, services)
}

func serviceRow(t *table, service, region string, ready, inFlight int, age *float64, load *admin.RegionLoad) {
	capacity, demand, threshold, wait := loadCells(load)
	t.row(service, region, strconv.Itoa(ready), strconv.Itoa(inFlight), span(age), capacity, demand, threshold, wait)
}

// printAdmissions shows what the agent that was asked does with what comes to
// it, and where it sends its region's demand.
func printAdmissions(out io.Writer, services []admin.Service) error {
	var admitting []admin.Service
	for _, s := range services {
		if s.Admission != nil || len(s.Shares) > 0 {
			admitting = append(admitting, s)
		}
	}
	if len(admitting) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nat this agent:")
	t := newTable(out, "SERVICE", "TO", "IN FLIGHT/LIMIT", "QUEUED", "REJECTING", "THRESHOLD", "QUEUE WAIT", "CAUSE", "GOES TO", "SPILL EXPECTED")
	for _, s := range admitting {
		admissionRow(t, s.Name, "(this one)", s.Admission, weights(s.Shares), inbound(s.Expected))
		for _, r := range s.Regions {
			if r.Admission != nil {
				admissionRow(t, s.Name, r.Region, r.Admission, "", "")
			}
		}
	}
	return t.flush()
}

func admissionRow(t *table, service, to string, a *admin.Admission, goes, expected string) {
	inFlight, queued, rejecting := admissionCells(a)
	if a == nil {
		a = &admin.Admission{}
	}
	t.row(service, to, inFlight, queued, rejecting, a.Threshold, rtt(a.QueueWaitSeconds), a.Cause, goes, expected)
}

func printInstances(out io.Writer, services []admin.Service) error {
	t := newTable(out, "SERVICE", "INSTANCE", "ADDRESS", "STATUS", "IN FLIGHT", "LATENCY", "SUBSETS", "TAGS")
	for _, s := range services {
		for _, i := range s.Instances {
			t.row(s.Name, i.ID, i.Address, i.Status, strconv.Itoa(i.InFlight), rtt(i.LatencySeconds),
				strings.Join(i.Subsets, ","), strings.Join(i.Tags, ","))
		}
	}
	return t.flush()
}

func printCatalog(out io.Writer, c admin.Catalog) {
	fmt.Fprintf(out, "catalog: %s", printable(c.Source))
	if c.AgeSeconds != nil {
		fmt.Fprintf(out, ", %s old", span(c.AgeSeconds))
	}
	if c.Stale {
		fmt.Fprint(out, ", last known good")
	}
	if c.Error != "" {
		fmt.Fprintf(out, ", error: %s", printable(c.Error))
	}
	fmt.Fprint(out, "\n\n")
}

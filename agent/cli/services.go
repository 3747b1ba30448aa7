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
	t := newTable(out, "SERVICE", "REGION", "READY", "IN FLIGHT", "REPORT AGE")
	for _, s := range services {
		t.row(s.Name, "(this one)", strconv.Itoa(s.Ready), strconv.Itoa(s.InFlight), "")
		for _, r := range s.Regions {
			t.row(s.Name, r.Region, strconv.Itoa(r.Ready), strconv.Itoa(r.InFlight), span(r.AgeSeconds))
		}
	}
	if err := t.flush(); err != nil || !instances {
		return err
	}
	fmt.Fprintln(out)
	t = newTable(out, "SERVICE", "INSTANCE", "ADDRESS", "STATUS", "IN FLIGHT", "LATENCY", "SUBSETS", "TAGS")
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

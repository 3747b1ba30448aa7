package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/admin"
	"github.com/tidegate/tidegate/policy"
)

func newExplain() *cobra.Command {
	var headers, properties []string
	request := admin.ExplainRequest{}
	cmd := &cobra.Command{
		Use:   "explain METHOD PATH | PUBLISH TOPIC | SUBSCRIBE FILTER | COMMAND TOPIC",
		Short: "Show what would happen to a message, step by step",
		Long: "Asks an agent how it would treat a message, without sending one: the route and why the\n" +
			"others were passed over, the class, the regions in order, the instance.",
		Example: "  tidegate explain POST /v1/devices/d1/alarms -H 'X-Kind: alarm' --device d1\n" +
			"  tidegate explain PUBLISH v1/devices/d1/alarms --device d1\n" +
			"  tidegate explain COMMAND commands/d1/reboot --device d1 --service ops",
		Args: cobra.ExactArgs(2),
	}
	flags := addAdminFlags(cmd)
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "`name: value` of a header; repeatable")
	cmd.Flags().StringVar(&request.Host, "host", "", "`host` the device asks for")
	cmd.Flags().StringVar(&request.Device.ID, "device", "", "`id` of the device")
	cmd.Flags().StringArrayVar(&properties, "property", nil, "`name=value` of the device; repeatable")
	cmd.Flags().StringVar(&request.Service, "service", "", "`name` of the egress client that sends a COMMAND")
	cmd.Flags().StringVarP(&request.Payload, "data", "d", "", "`payload` of the message")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		request.Method, request.Path = strings.ToUpper(args[0]), args[1]
		if request.Headers, err = headerFlags(headers); err != nil {
			return err
		}
		if request.Device.Properties, err = pairs("--property", properties); err != nil {
			return err
		}
		answer, err := fetch[admin.ExplainAnswer](cmd, flags, http.MethodPost, admin.PathExplain, request)
		if err != nil || flags.json {
			return err
		}
		return printExplained(cmd.OutOrStdout(), answer)
	}
	return cmd
}

func headerFlags(list []string) (map[string][]string, error) {
	out := http.Header{}
	for _, text := range list {
		name, value, found := strings.Cut(text, ":")
		if !found || strings.TrimSpace(name) == "" {
			return nil, usagef("-H %q is not name: value", text)
		}
		out.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return out, nil
}

func printExplained(out io.Writer, a *admin.ExplainAnswer) error {
	fmt.Fprintln(out, printable(a.Verdict))
	fmt.Fprintln(out)
	for _, line := range []struct{ name, value string }{
		{"agent", a.Agent}, {"policy", a.PolicyVersion}, {"route", a.Route}, {"class", a.Class},
		{"service", a.Service}, {"path", a.Path}, {"region", a.Region}, {"instance", a.Instance},
	} {
		if line.value != "" {
			fmt.Fprintf(out, "%-9s %s\n", line.name, printable(line.value))
		}
	}
	for i, leg := range a.Plan {
		fmt.Fprintf(out, "%-9s %d. %s: %s\n", "plan", i+1, printable(leg.Region), printable(legReason(&leg)))
	}
	printAdmission(out, a.Admission)
	return printSteps(out, a.Steps)
}

func legReason(leg *admin.ExplainLeg) string {
	text := leg.Reason
	if leg.Weight > 0 {
		text += ", first for " + percent(leg.Weight)
	}
	if leg.Override != nil {
		text += "; " + override(leg.Override)
	}
	return text
}

// printAdmission shows whether the message would be let through, and the state
// that decides it.
func printAdmission(out io.Writer, e *admin.ExplainAdmission) {
	if e == nil {
		return
	}
	fmt.Fprintf(out, "%-9s %s in %s, rank %s\n", "admission", printable(e.Verdict), printable(e.Region), printable(e.Rank))
	if a := e.State; a != nil {
		threshold := cmp.Or(a.Threshold, "none")
		fmt.Fprintf(out, "%-9s %d in flight of %d, %d queued, threshold %s, %s rejected, queue wait %s\n", "",
			a.InFlight, a.Limit, a.Queued, printable(threshold), cmp.Or(percent(a.Rejecting), "0%"), span(&a.QueueWaitSeconds))
		if a.Cause != "" {
			fmt.Fprintf(out, "%-9s the threshold is up for spill from %s\n", "", printable(a.Cause))
		}
	}
	if spill := inbound(e.Expected); spill != "" {
		fmt.Fprintf(out, "%-9s spill expected there: %s\n", "", printable(spill))
	}
}

// printSteps lists the considerations under their stages: ✓ taken, – passed
// over.
func printSteps(out io.Writer, steps []policy.Step) error {
	stage := ""
	for _, step := range steps {
		if step.Stage != stage {
			stage = step.Stage
			fmt.Fprintf(out, "\n%s\n", printable(stage))
		}
		mark := "–"
		if step.Taken {
			mark = "✓"
		}
		if _, err := fmt.Fprintf(out, "  %s %s: %s\n", mark, printable(step.Subject), printable(step.Reason)); err != nil {
			return err
		}
	}
	return nil
}

package cli

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/agent/drill"
)

func newDrill() *cobra.Command {
	cmd := &cobra.Command{Use: "drill", Short: "Rehearse failures", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("drill: say what to do: tidegate drill run FILE") }}
	cmd.AddCommand(newDrillRun())
	return cmd
}

// drillFlags are what `tidegate drill run` is told.
type drillFlags struct {
	admins []string
	admin  adminFlags // but for the address
	trust  edgeFlags
	html   string
	level  string
	seed   uint64
}

func newDrillRun() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a drill and judge its invariants",
		Long: "Starts a development mesh, or takes the running one of --admin, sees to it that all is\n" +
			"well, applies the load and the faults of the file on its time line, and prints a verdict\n" +
			"for each invariant. Ends with 1 when one breaks or the drill aborts, with 3 when there is\n" +
			"no verdict because the mesh was sick already. A running mesh must take faults (docs/faults.md),\n" +
			"as `tidegate dev` does; the drill goes through the first agent of --admin, and looks at the\n" +
			"metrics of all of them. One drill runs on a mesh at a time.",
		Example: "  tidegate drill run deploy/drills/region-outage.hcl\n" +
			"  tidegate drill run deploy/drills/service-failure.hcl --admin http://127.0.0.1:7400 --ca ca.pem",
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.admins, "admin", nil, "`address` of the control API of a running mesh's agent, repeatable; default: a mesh of the drill's own")
	flags.StringVar(&f.admin.token, "token", "", "their `token`; $TIDEGATE_TOKEN keeps it off the process list")
	f.trust.add(cmd)
	jsonFlag(cmd, &f.admin.json)
	operatorFlag(cmd, &f.admin)
	flags.StringVar(&f.html, "html", "", "write the report as a page to this `file`, too")
	flags.StringVar(&f.level, "log", "error", "log `level` of the agents: debug, info, warn, error")
	flags.Uint64Var(&f.seed, "seed", uint64(time.Now().UnixNano()), "of the load's mix; default: the time")
	flags.Lookup("seed").DefValue = "0"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := drill.ReadFile(args[0])
		if err != nil {
			return err
		}
		opts, err := f.options(cmd)
		if err != nil {
			return err
		}
		report, err := drill.Run(cmd.Context(), d, opts)
		if err != nil {
			return err
		}
		return f.show(cmd, report)
	}
	return cmd
}

func (f *drillFlags) options(cmd *cobra.Command) (drill.Options, error) {
	opts := drill.Options{Seed: f.seed}
	if !f.admin.json {
		opts.Progress = cmd.OutOrStdout()
	}
	var err error
	if opts.Logger, err = levelLogger(f.level, cmd); err != nil {
		return opts, err
	}
	if len(f.admins) == 0 {
		if f.trust != (edgeFlags{}) || f.admin.token != "" || f.admin.operator != "" {
			return opts, usagef("drill run: --token, --operator, --ca, --cert and --key are for a running mesh: say which with --admin")
		}
		return opts, nil
	}
	opts.Running = &drill.Running{}
	for n, address := range f.admins {
		client, err := (&adminFlags{address: address, token: f.admin.token, operator: f.admin.operator}).client()
		switch {
		case err != nil:
			return opts, err
		case n == 0:
			opts.Running.Ask = client.ask
		default:
			opts.Running.Others = append(opts.Running.Others, client.ask)
		}
	}
	opts.Running.TLS, opts.Running.Identity, err = f.trust.load()
	return opts, err
}

func (f *drillFlags) show(cmd *cobra.Command, report *drill.Report) error {
	if f.admin.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return err
		}
	} else {
		report.Print(cmd.OutOrStdout())
	}
	if f.html != "" {
		var page bytes.Buffer
		if err := report.WriteHTML(&page); err != nil {
			return err
		}
		if err := replaceFile(f.html, page.Bytes(), publicMode); err != nil {
			return err
		}
	}
	switch {
	case report.Outcome == drill.NoVerdict:
		return errNoVerdict
	case !report.Pass:
		return errReported
	}
	return nil
}

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	doctor := &cobra.Command{
		Use:   "doctor [--config <file>] [--adapter <name>]",
		Short: "Checks a configuration against the live directory, store and keys",
		Long: `
Loads a configuration as "caddy validate" does, then looks at what it needs: every
server of the directory, the store, the keys. It changes nothing, and may be run
beside a running server. Each check is a line; what mends a fault stands below it.

The exit code is 0 when all is well or there are only warnings, else 1.

Run it as the user that Caddy runs as, with the same environment.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// What is wrong is in the list already.
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			config, _ := cmd.Flags().GetString("config")
			adapter, _ := cmd.Flags().GetString("adapter")
			return doctor(ctx, cmd.OutOrStdout(), config, adapter)
		},
	}
	doctor.Flags().StringP("config", "c", "", "Configuration file (default: Caddyfile in this folder)")
	doctor.Flags().StringP("adapter", "a", "", "Name of config adapter")
	return doctor
}

// errFaults is what makes the exit code 1.
var errFaults = errors.New("something is wrong")

// doctor prints what it finds. It fails when something is wrong.
func doctor(ctx context.Context, out io.Writer, file, adapter string) error {
	findings, err := examine(ctx, out, file, adapter)
	if err != nil {
		findings = []Finding{{
			Part: "configuration", What: "load", Level: Fault, Detail: err.Error(),
			Fix: "mend it until caddy validate takes it",
		}}
		if err := write(out, findings); err != nil {
			return err
		}
	}
	text, faults := verdict(findings)
	if _, err := fmt.Fprintf(out, "\n%s\n", text); err != nil {
		return err
	}
	if faults > 0 {
		return errFaults
	}
	return nil
}

// examine loads a configuration and prints what is found at each of its authorization servers.
func examine(ctx context.Context, out io.Writer, file, adapter string) (all []Finding, err error) {
	app, err := load(file, adapter)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(app.issuers)) {
		is := app.issuers[name]
		if _, err := fmt.Fprintf(out, "\nauthz %s: %s\n", name, is.url); err != nil {
			return nil, err
		}
		findings := is.examine(ctx)
		if err := write(out, findings); err != nil {
			return nil, err
		}
		all = append(all, findings...)
	}
	return all, ctx.Err()
}

// silent keeps logs quiet meanwhile: the list says all, and the log files are the running server's.
func silent() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "FATAL"}}}}
}

// load provisions a configuration, which starts nothing. What it takes is given back when the process ends.
func load(file, adapter string) (*App, error) {
	if _, err := caddy.ProvisionContext(&caddy.Config{Logging: silent()}); err != nil { // before the adapter speaks
		return nil, err
	}
	input, _, _, err := caddycmd.LoadConfig(file, adapter)
	switch {
	case err != nil:
		return nil, err
	case len(input) == 0:
		return nil, errors.New("there is no Caddyfile in this folder: name a file with --config")
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(input), &config); err != nil {
		return nil, err
	}
	config.Logging = silent()
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		return nil, err
	}
	app, err := appOf(ctx)
	if err == nil && len(app.issuers) == 0 {
		err = errors.New("it has no authorization server: the global option authz is missing")
	}
	return app, err
}

// examine looks at all that the issuer needs, whether or not it has started.
func (is *issuer) examine(ctx context.Context) []Finding {
	findings := append(slices.Clone(is.warnings), is.examineKeys(ctx))
	for _, part := range is.parts {
		findings = append(findings, part.Examine(ctx)...)
	}
	return findings
}

func (is *issuer) examineKeys(ctx context.Context) Finding {
	f := Finding{Part: "keys", What: "signing"}
	algorithms, err := is.server.ExamineKeys(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Detail = "no keys yet: the first start makes them"
	case err != nil:
		f.Level, f.Detail = Fault, err.Error()
		f.Fix = "restore Caddy's storage from a backup, or let the user that runs this read it"
	default:
		f.Detail = strings.Join(algorithms, ", ")
	}
	return f
}

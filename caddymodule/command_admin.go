package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func keyCommand() *cobra.Command {
	key := &cobra.Command{Use: "key <command>", Short: "Looks after signing and encryption keys"}
	key.AddCommand(adminCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Publishes a successor for every generated key",
		Long: `
Publishes a successor for every generated key of a running server, without waiting
for its time. The new keys sign ten minutes later, when everybody can know them, and
the old ones stay published as long as something lives that they signed.`,
		Args: cobra.NoArgs,
	}, "keys/rotate", "Every generated key has a successor, which signs once it has been published for ten minutes."))
	return key
}

func userCommand() *cobra.Command {
	user := &cobra.Command{Use: "user <command>", Short: "Helps people who can't sign in"}
	user.AddCommand(
		adminCommand(&cobra.Command{
			Use:   "unlock <username>",
			Short: "Ends the pause after too many wrong guesses at an account",
			Args:  cobra.ExactArgs(1),
		}, "users/unlock", "Wrong guesses at this name keep nobody waiting any more."),
		adminCommand(&cobra.Command{
			Use:   "reset-factor <username>",
			Short: "Forgets a person's authenticator app, recovery codes and passkeys",
			Long: `
Forgets a person's authenticator app, recovery codes and passkeys, and the wrong guesses
at them, and signs them out everywhere. Where a contract asks for a factor, they set up
another after their next password.`,
			Args: cobra.ExactArgs(1),
		}, "users/reset_factor", "The second factors are forgotten, and the person is signed out."))
	return user
}

// adminCommand makes a command that asks a running server for one thing.
func adminCommand(command *cobra.Command, action, done string) *cobra.Command {
	flags := command.Flags()
	flags.String("server", "", "Name of the authz server (default: the only one, or the one without a name)")
	flags.String("address", "", "Address of the admin API (default: that of the configuration)")
	flags.StringP("config", "c", "", "Configuration file, to find that address")
	flags.StringP("adapter", "a", "", "Name of config adapter")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		cmd.SilenceUsage = true
		var asked adminRequest
		if len(args) > 0 {
			asked.Username = args[0]
		}
		if err := askAdmin(cmd, action, asked); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
		return err
	}
	return command
}

func askAdmin(cmd *cobra.Command, action string, asked adminRequest) error {
	flags := cmd.Flags()
	server, _ := flags.GetString("server")
	address, _ := flags.GetString("address")
	config, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return err
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	// It answers what went wrong with an error of its own.
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodPost, adminPath+action+"?"+url.Values{"server": {server}}.Encode(),
		http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

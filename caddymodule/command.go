package caddymodule

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// command is `caddy authz`, below which each task is a command of its own.
func command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "authz",
		Usage: "<command>",
		Short: "Looks after authorization servers",
		CobraFunc: func(authz *cobra.Command) {
			authz.AddCommand(doctorCommand(), keyCommand(), userCommand())
		},
	}
}

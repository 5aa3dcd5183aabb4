// Command caddy is Caddy with the modules of this repository, as xcaddy would build it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/gatewright/gatewright/caddymodule"
)

func main() { caddycmd.Main() }

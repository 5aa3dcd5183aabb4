package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatewright/gatewright/authz/oauth"

	_ "embed"
)

const (
	// connections is how many requests are under way at once: enough to keep two cores busy, and no more than
	// reverse_proxy keeps open to one upstream.
	connections = 32

	password    = "correct horse battery staple"
	redirectURI = "http://localhost:9/callback" // nobody listens: the code is read from the redirect

	ruled     = "ruled" // the resource server whose tokens meet the rules
	ruleCount = 20
)

//go:embed Caddyfile.tmpl
var caddyfile string

// bench is what every row works with.
type bench struct {
	ctx      context.Context
	options  options
	folder   string
	upstream net.Listener
	server   *server
	mint     *mint
	config   config
	table    table
}

// config fills in the Caddyfile.
type config struct {
	Admin, Folder, Issuer, Upstream   string
	Secret, PasswordHash, RedirectURI string
	KiB                               string
	Users                             []string
	ResourceServers                   []resourceServer
	Gates                             []gate
	Ports                             ports
}

type resourceServer struct{ Name, Audience, Encryption, Signed string }

// ports of the sites that are there once.
type ports struct{ Issuer, Bare, Respond, Session int }

// gate is a site for bearer tokens; each has a cache of verified tokens of its own.
type gate struct {
	Name           string
	Port           int
	ResourceServer string
	Upstream       string
	Rules          []struct{}
}

// newBench makes a folder for everything, starts the upstream and Caddy, and reads the issuer's keys.
func newBench(ctx context.Context, o options) (_ *bench, err error) {
	b := &bench{ctx: ctx, options: o}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.options.caddy, err = filepath.Abs(o.caddy); err != nil {
		return nil, err
	}
	if b.folder, err = os.MkdirTemp("", "gatewright-bench-"); err != nil {
		return nil, err
	}
	if b.upstream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go serveUpstream(b.upstream)
	if b.config, err = b.makeConfig(); err != nil {
		return nil, err
	}
	if err = b.writeConfig(); err != nil {
		return nil, err
	}
	b.server, err = startServer(ctx, b.options.caddy, b.folder, b.config.Admin, b.config.Issuer+"/health")
	if err != nil {
		return nil, err
	}
	b.mint, err = newMint(filepath.Join(b.folder, "storage"), b.config)
	return b, err
}

func (b *bench) close() {
	if b.server != nil {
		b.server.stop()
	}
	if b.upstream != nil {
		_ = b.upstream.Close()
	}
	if b.folder != "" {
		_ = os.RemoveAll(b.folder)
	}
}

func (b *bench) makeConfig() (config, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost) // what it costs is not what we measure
	if err != nil {
		return config{}, err
	}
	c := config{
		Folder: b.folder, Upstream: b.upstream.Addr().String(), Secret: oauth.NewSecret(), PasswordHash: string(hash),
		RedirectURI: redirectURI, KiB: strings.Repeat("0123456789abcdef", 64),
	}
	for i := range connections {
		c.Users = append(c.Users, "user"+strconv.Itoa(i))
	}
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		c.ResourceServers = append(c.ResourceServers, newResourceServer(strings.ToLower(alg), "none", alg))
	}
	c.ResourceServers = append(c.ResourceServers,
		newResourceServer("sealed", "server_key", "ES256"), newResourceServer(ruled, "none", "ES256"))
	add := func(name, resourceServer string, rules int) {
		c.Gates = append(c.Gates, gate{
			Name: name, ResourceServer: resourceServer, Upstream: c.Upstream, Rules: make([]struct{}, rules),
		})
	}
	add("es256", "es256", 0)
	add("many", "es256", 0)
	add("memory", "es256", 0)
	add("flood", "es256", 0)
	add("ruled", ruled, ruleCount)
	add("unruled", ruled, 0)
	add("sealed", "sealed", 0)
	add("rs256", "rs256", 0)
	return c, c.takePorts()
}

func newResourceServer(name, encryption, signed string) resourceServer {
	return resourceServer{Name: name, Audience: "https://" + name + ".bench.example", Encryption: encryption, Signed: signed}
}

// takePorts picks ports that are free now; all are held until the last is picked, so that none comes twice.
func (c *config) takePorts() error {
	var admin int
	wanted := []*int{&admin, &c.Ports.Issuer, &c.Ports.Bare, &c.Ports.Respond, &c.Ports.Session}
	for i := range c.Gates {
		wanted = append(wanted, &c.Gates[i].Port)
	}
	for _, port := range wanted {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = listener.Close() }()
		addr, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return errors.New("a TCP listener without a TCP address")
		}
		*port = addr.Port
	}
	c.Admin = local(admin)
	c.Issuer = "http://" + site(c.Ports.Issuer)
	return nil
}

func (b *bench) writeConfig() error {
	parsed, err := template.New("Caddyfile").Parse(caddyfile)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(b.folder, "Caddyfile"))
	if err != nil {
		return err
	}
	return errors.Join(parsed.Execute(file, b.config), file.Close())
}

// port of a gate.
func (b *bench) port(gate string) int {
	for _, g := range b.config.Gates {
		if g.Name == gate {
			return g.Port
		}
	}
	panic(fmt.Sprintf("no gate %q", gate))
}

// local is the address that a site's port is dialled at, and site the name it has.
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
func site(port int) string  { return net.JoinHostPort("localhost", strconv.Itoa(port)) }

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// errLeftOut is a row that this machine has not what it takes for.
var errLeftOut = errors.New("left out")

// The directory is that of examples/ldap, whose files say these.
const (
	exampleDirectory = "examples/ldap"
	exampleBase      = "ou=people,dc=example,dc=org"
	exampleAccount   = "cn=gatewright,ou=services,dc=example,dc=org"
	accountPassword  = "gatewright-password"
	alicePassword    = "looking-glass"
)

// peopleAtOnce is how many sign in at a time.
const peopleAtOnce = 8

// directorySignIn compares signing in with the search and the bind that it is made of, on the same server. Both sides
// are in this process.
func directorySignIn(b *bench) (result, error) {
	url, stop, err := b.startDirectory()
	if err != nil {
		return result{}, err
	}
	defer stop()
	d, err := ldap.New(ldap.Config{
		Servers: []string{url}, BindDN: exampleAccount, Password: accountPassword, Base: exampleBase, GrantAttribute: "nidsOAuthGrant",
	})
	if err != nil {
		return result{}, err
	}
	defer d.Close()
	people := make([]*ldaptest.Bare, peopleAtOnce)
	for i := range people {
		if people[i], err = ldaptest.DialBare(url, exampleAccount, accountPassword); err != nil {
			return result{}, err
		}
		defer people[i].Close()
	}
	bare := b.repeated(peopleAtOnce, func(worker int) error { return people[worker].SignIn(exampleBase, "alice", alicePassword) })
	whole := b.repeated(peopleAtOnce, func(int) error {
		_, err := d.Authenticate(b.ctx, users.Credentials{Username: "alice", Password: alicePassword}, func(string) error { return nil })
		return err
	})
	return b.compare(b.options.rounds, bare, whole)
}

// startDirectory starts the example's OpenLDAP in the bench's folder.
func (b *bench) startDirectory() (url string, stop func(), err error) {
	program, err := exec.LookPath("slapd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/slapd"); err != nil {
			return "", nil, fmt.Errorf("%w: needs slapd: %w", errLeftOut, err)
		}
	}
	folder := filepath.Join(b.folder, "ldap")
	if err := errors.Join(os.CopyFS(folder, os.DirFS(exampleDirectory)), os.Mkdir(filepath.Join(folder, "directory.db"), 0o700)); err != nil {
		return "", nil, err
	}
	slapd := func(arguments ...string) *exec.Cmd {
		cmd := exec.CommandContext(b.ctx, program, arguments...)
		cmd.Dir = folder
		return cmd
	}
	if out, err := slapd("-T", "add", "-f", "slapd.conf", "-l", "people.ldif").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("slapadd: %w: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := listener.Addr().String()
	server := slapd("-d", "0", "-f", "slapd.conf", "-h", "ldap://"+address)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := errors.Join(listener.Close(), server.Start()); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}
	if err := listens(b.ctx, address); err != nil {
		stop()
		return "", nil, fmt.Errorf("slapd: %w: %s", err, &said)
	}
	return "ldap://" + address, stop, nil
}

// listens waits until somebody listens.
func listens(ctx context.Context, address string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

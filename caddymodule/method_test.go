package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
)

func init() { caddy.RegisterModule(new(riddle)) }

// riddle is a method of somebody else's: whoever knows the word is the person it says.
type riddle struct {
	Word string `json:"word,omitempty"`
	Who  string `json:"who,omitempty"`
}

func (*riddle) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz.methods.riddle", New: func() caddy.Module { return new(riddle) }}
}

func (m *riddle) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the method's own name
	return words{"word": text(&m.Word), "who": text(&m.Who)}.only(d)
}

func (*riddle) Identifies() bool { return true }

func (*riddle) Ask(w http.ResponseWriter, _ *http.Request, step authz.MethodStep) {
	_, _ = fmt.Fprintf(w, "%s?%s", step.URL, url.Values{"state": {step.State}}.Encode())
}

func (m *riddle) Verify(r *http.Request, _ authz.MethodStep) (*authz.MethodProof, error) {
	if r.Form.Get("word") != m.Word {
		return nil, authz.ErrMethodRefused
	}
	return &authz.MethodProof{Subject: m.Who}, nil
}

func TestG14_AModuleIsAMethod(t *testing.T) {
	w := newWorld(t)
	w.block = `
		contract urn:example:riddle {
			method riddle {
				word plover
				who alice
			}
			default
		}`
	w.start()
	client := w.browser()
	_, _, asked, err := navigate(client, w.app+"/page")
	require.NoError(t, err)
	require.Contains(t, asked, w.issuer+"/login/riddle?state=")
	_, _, body, err := navigate(client, asked+"&word=plover")
	require.NoError(t, err)
	require.Equal(t, "user=alice", body)
}

package caddymodule

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestA58_NoUpstreamSeesTheSessionOfAnotherGate(t *testing.T) {
	w := newWorld(t)
	w.site = `
	handle /api/* {
		token_inject {
			resource_server orders
		}
		respond "cookies={http.request.header.Cookie}"
	}
	handle {
		token_inject {
			session {
				cookie shopsess
			}
		}
		respond "hello"
	}`
	w.start()
	token, err := w.robotToken()
	require.NoError(t, err)
	r, err := http.NewRequest(http.MethodGet, w.app+"/api/", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Cookie", "shopsess=secret; mine=1; a=b shopsess=secret")
	status, _, body, err := answer(w.browser(), r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "cookies=mine=1", body)
}

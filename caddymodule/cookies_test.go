package caddymodule

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestA58_NoUpstreamSeesTheSessionOfAnotherGate(t *testing.T) {
	w := newWorld(t)
	other := "http://127.0.0.1:" + freePort(t)
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
	}
}

` + other + ` {
	token_inject {
		resource_server orders
	}
	respond "cookies={http.request.header.Cookie}"`
	w.start()
	token, err := w.robotToken()
	require.NoError(t, err)
	for target, want := range map[string]string{
		w.app + "/api/": "cookies=mine=1",
		other + "/":     "cookies=shopsess=secret; mine=1; a=b shopsess=secret", // an application's own, of that name
	} {
		r, err := http.NewRequest(http.MethodGet, target, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Cookie", "shopsess=secret; mine=1; a=b shopsess=secret")
		status, _, body, err := answer(w.browser(), r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, want, body)
	}
}

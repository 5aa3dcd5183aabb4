package authz_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestO6_Health(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	req, err := http.NewRequest(http.MethodGet, f.URL+"/health", nil)
	require.NoError(t, err)
	answer := f.Do(req)
	assert.Equal(t, http.StatusOK, answer.Status)
	assert.Equal(t, "ready", answer.Get("status"))
	assert.Equal(t, map[string]any{"store": "ok", "keys": "ok"}, answer.JSON["parts"], "details only to loopback")

	cfg := authztest.Config()
	cfg.ClientIP = func(*http.Request) string { return "203.0.113.7" }
	f = authztest.New(t, cfg)
	req, err = http.NewRequest(http.MethodGet, f.URL+"/health", nil)
	require.NoError(t, err)
	assert.NotContains(t, f.Do(req).JSON, "parts")
}

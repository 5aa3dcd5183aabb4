package e2e

import "testing"

func TestE2_E6_E7_Oauth4webapi_APersonSignsIn(t *testing.T) {
	startForClients(t).node(t, "webapi.mjs", "person", map[string]any{"secret": webSecret}, nil)
}

func TestE1_Oauth4webapi_SomebodyDeclines(t *testing.T) {
	startForClients(t).node(t, "webapi.mjs", "declined", map[string]any{"secret": webSecret}, nil)
}

func TestE3_Oauth4webapi_AClientWithoutSecret(t *testing.T) {
	startForClients(t).node(t, "webapi.mjs", "publicClient", nil, nil)
}

func TestR12_Oauth4webapi_AnAPIVerifiesTheTokenOfAService(t *testing.T) {
	startForClients(t).node(t, "webapi.mjs", "service", map[string]any{"secret": robotSecret}, nil)
}

func TestA41_Oauth4webapi_ClientsThatSign(t *testing.T) {
	c, key := startForSigners(t)
	c.node(t, "webapi.mjs", "signers", map[string]any{"key": key, "secret": webSecret}, nil)
}
